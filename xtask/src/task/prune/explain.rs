//! `cargo xtask prune explain`: why a version is kept or deleted.

use anyhow::Result;

use crate::model::failure::{Exit, Failure};
use crate::model::inventory::{Inventory, PackageVersion};
use crate::model::service::ServiceName;
use crate::options::Format;
use crate::outside::terminal;
use crate::plan::retention::plan;
use crate::report;

use super::pruner::{Pruner, nothing_found};

/// The shortest abbreviation of a digest.
const DIGITS: usize = 7;

pub fn run(pruner: &Pruner<'_>, reference: &str, format: Format) -> Result<Exit> {
    let (service, name) = named(reference).ok_or_else(|| {
        Failure::usage(format!("not a version: `{reference}`"))
            .hint("cargo xtask prune explain git-server:dev")
    })?;
    let service = ServiceName::new(service).map_err(|error| Failure::usage(error.to_string()))?;
    let inventory = pruner.inventory(pruner.packages()?.as_ref(), &service)?;
    let inventory = inventory.ok_or_else(|| nothing_found(std::slice::from_ref(&service)))?;
    let found = match found(&inventory, name).as_slice() {
        [found] => *found,
        [] => {
            let message = format!("`{service}` has no version `{name}`");
            return Err(Failure::failed(message).hint("cargo xtask prune").into());
        }
        several => {
            let count = several.len();
            return Err(Failure::usage(format!("{count} versions begin with `{name}`")).into());
        }
    };
    let plan = plan(&inventory);
    let path = plan.path(&found.digest);
    terminal::data(&match format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&path)?),
        _ => report::retention::explained(&path),
    });
    Ok(Exit::Done)
}

/// The service and the tag or digest of `[REGISTRY[:PORT]/…/]SERVICE:TAG`, `SERVICE@DIGEST` or
/// `SERVICE:TAG@DIGEST`.
fn named(reference: &str) -> Option<(&str, &str)> {
    let last = reference.rsplit('/').next()?;
    if let Some((before, digest)) = last.split_once('@') {
        return Some((before.split(':').next()?, digest));
    }
    last.split_once(':')
}

/// The version with this tag, or all whose digest begins with it.
fn found<'i>(inventory: &'i Inventory, name: &str) -> Vec<&'i PackageVersion> {
    let has_tag = |version: &&PackageVersion| version.tags.iter().any(|tag| tag == name);
    if let Some(tagged) = inventory.versions.iter().find(has_tag) {
        return vec![tagged];
    }
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    let begins = |version: &&PackageVersion| {
        let hex = version.digest.as_str().split_once(':').map_or("", |(_, hex)| hex);
        digits.len() >= DIGITS && hex.starts_with(digits)
    };
    inventory.versions.iter().filter(begins).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_with_or_without_registry() {
        for (reference, expected) in [
            ("git-server:dev", Some(("git-server", "dev"))),
            ("127.0.0.1:5000/o/r/git-server:dev", Some(("git-server", "dev"))),
            ("ghcr.io/o/r/git-server@sha256:ab", Some(("git-server", "sha256:ab"))),
            ("localhost:5000/git-server:dev@sha256:ab", Some(("git-server", "sha256:ab"))),
            ("git-server@0123456789ab", Some(("git-server", "0123456789ab"))),
            ("127.0.0.1:5000/git-server", None),
            ("git-server", None),
        ] {
            assert_eq!(named(reference), expected, "{reference}");
        }
    }

    #[test]
    fn a_version_is_found_by_tag_or_digest() {
        let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
        let versions = serde_json::json!([
            { "digest": digest("a"), "tags": ["bbbbbbb"] }, { "digest": digest("b") },
            { "digest": digest("c").replacen("cc", "cd", 32) }, { "digest": digest("c") },
        ]);
        let inventory: Inventory =
            serde_json::from_value(serde_json::json!({ "now": 0.0, "inventory": versions }))
                .unwrap();
        let count = |name: &str| found(&inventory, name).len();
        assert_eq!(found(&inventory, "bbbbbbb")[0].digest.as_str(), digest("a"));
        assert_eq!(found(&inventory, "bbbbbbbbbbbb")[0].digest.as_str(), digest("b"));
        assert_eq!(found(&inventory, &digest("b"))[0].digest.as_str(), digest("b"));
        assert_eq!((count("aaaaaa"), count("ccccccc"), count("dev")), (0, 1, 0));
    }
}
