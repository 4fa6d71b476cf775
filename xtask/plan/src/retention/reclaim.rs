//! What deletions free: the blobs that no version has any more. Images of one service share most blobs.

use std::collections::BTreeMap;

use xtask_model::inventory::{Inventory, PackageVersion};
use xtask_model::reference::Digest;

/// How many of the remaining versions have each blob.
#[derive(Debug)]
pub struct Blobs<'i> {
    holders: BTreeMap<&'i Digest, usize>,
}

impl<'i> Blobs<'i> {
    pub fn new(inventory: &'i Inventory) -> Self {
        let mut holders = BTreeMap::new();
        for (digest, _) in inventory.versions.iter().flat_map(|version| &version.blobs) {
            *holders.entry(digest).or_default() += 1;
        }
        Self { holders }
    }

    /// Removes a version; returns the bytes that only it had.
    pub fn gone(&mut self, version: &'i PackageVersion) -> u64 {
        let freed = version.blobs.iter().filter(|(digest, _)| {
            let holders = self.holders.entry(digest).or_default();
            *holders = holders.saturating_sub(1);
            *holders == 0
        });
        freed.fold(0, |sum, (_, size)| sum.saturating_add(*size))
    }
}

/// The bytes that deleting all of `delete` frees.
pub fn reclaimable<'d>(inventory: &Inventory, delete: impl IntoIterator<Item = &'d Digest>) -> u64 {
    let mut blobs = Blobs::new(inventory);
    let versions: BTreeMap<&Digest, &PackageVersion> =
        inventory.versions.iter().map(|version| (&version.digest, version)).collect();
    let going = delete.into_iter().filter_map(|digest| versions.get(digest).copied());
    going.fold(0, |sum, version| sum.saturating_add(blobs.gone(version)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: char) -> Digest {
        Digest::new(format!("sha256:{}", digit.to_string().repeat(64))).unwrap()
    }

    /// Three images on the base `a` of 100 bytes; `1` and `2` share `b` too.
    fn inventory() -> Inventory {
        let version = |digit, blobs: &[(char, u64)]| {
            let blobs: Vec<_> = blobs.iter().map(|(blob, size)| (digest(*blob), size)).collect();
            serde_json::json!({ "digest": digest(digit), "blobs": blobs })
        };
        let versions = [
            version('1', &[('a', 100), ('b', 20), ('c', 3)]),
            version('2', &[('a', 100), ('b', 20)]),
            version('3', &[('a', 100), ('d', 4)]),
            version('4', &[]),
        ];
        serde_json::from_value(serde_json::json!({ "now": 0.0, "inventory": versions })).unwrap()
    }

    #[test]
    fn only_unshared_blobs_are_freed() {
        for (delete, expected) in
            [("", 0), ("1", 3), ("2", 0), ("12", 23), ("21", 23), ("3", 4), ("123", 127), ("4", 0)]
        {
            let delete: Vec<Digest> = delete.chars().map(digest).collect();
            assert_eq!(reclaimable(&inventory(), &delete), expected, "{delete:?}");
        }
    }
}
