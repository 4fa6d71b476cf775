//! The inputs: everything that an image is made from. Two builds of the same inputs give the same image, so
//! the second one is not needed. A published image contains its inputs as an annotation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::platform::Platform;
use super::reference::Digest;

/// The annotation with the inputs, as JSON.
pub const INPUTS: &str = "io.autogit.inputs";

/// Raised when the same inputs give a different image, for example after a change of the exporter.
pub const PLAN: u32 = 2;

/// Everything that decides what an image becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    pub plan: u32,
    /// Git tree id of the service's folder.
    pub tree: String,
    /// Build arguments, without the commit's time, which changes with every commit.
    pub arguments: BTreeMap<String, String>,
    pub target: Option<String>,
    pub platforms: Vec<Platform>,
    /// Digests of the bases, by their names in the Dockerfile.
    pub bases: BTreeMap<String, Digest>,
    /// Whether the image gets an SBOM.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sbom: bool,
}

impl Inputs {
    /// The annotation's value. Keys are sorted, so the same inputs give the same text.
    pub fn text(&self) -> String {
        // Maps with text keys and plain values always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the annotation; `None` for a different version of the format.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The differences from `before`, in words.
    pub fn changes(&self, before: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        let short = |text: &str| text.get(..12).unwrap_or(text).to_owned();
        if self.plan != before.plan {
            changes.push(format!("the plan's version: {} → {}", before.plan, self.plan));
        }
        if self.tree != before.tree {
            changes.push(format!(
                "the service's folder: {} → {}",
                short(&before.tree),
                short(&self.tree)
            ));
        }
        if self.target != before.target {
            let shown = |target: &Option<String>| target.clone().unwrap_or("the last stage".into());
            changes.push(format!(
                "the target: {} → {}",
                shown(&before.target),
                shown(&self.target)
            ));
        }
        if self.platforms != before.platforms {
            changes.push("the platforms changed".to_owned());
        }
        if self.sbom != before.sbom {
            changes.push(format!("`sbom` is {}", self.sbom));
        }
        changes.extend(differing("the build argument", &before.arguments, &self.arguments));
        let digests = |bases: &BTreeMap<String, Digest>| -> BTreeMap<String, String> {
            bases.iter().map(|(name, digest)| (name.clone(), digest.short().to_owned())).collect()
        };
        changes.extend(differing("the base", &digests(&before.bases), &digests(&self.bases)));
        changes
    }
}

fn differing(
    what: &str,
    before: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| match (before.get(name), now.get(name)) {
            (Some(before), Some(now)) if before == now => None,
            (Some(before), Some(now)) => Some(format!("{what} {name}: {before} → {now}")),
            (None, _) => Some(format!("{what} {name} was added")),
            (_, None) => Some(format!("{what} {name} was removed")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> Inputs {
        Inputs {
            plan: PLAN,
            tree: "a".repeat(40),
            arguments: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
            target: None,
            platforms: vec![],
            bases: BTreeMap::new(),
            sbom: false,
        }
    }

    #[test]
    fn inputs_are_read_back_from_their_annotation() {
        assert_eq!(Inputs::parse(&inputs().text()), Some(inputs()));
        assert_eq!(Inputs::parse("{}"), None);
        assert!(
            !inputs().text().contains("sbom"),
            "images that are already published compare equal"
        );
        assert_eq!(inputs().changes(&inputs()), [] as [&str; 0]);
    }

    #[test]
    fn each_change_is_named() {
        let arguments =
            BTreeMap::from([("A".to_owned(), "2".to_owned()), ("B".to_owned(), "1".to_owned())]);
        let tree = "b".repeat(40);
        let target = Some("final".into());
        let after = Inputs { arguments, tree, target, sbom: true, ..inputs() };
        assert_eq!(
            after.changes(&inputs()),
            [
                "the service's folder: aaaaaaaaaaaa → bbbbbbbbbbbb",
                "the target: the last stage → final",
                "`sbom` is true",
                "the build argument A: 1 → 2",
                "the build argument B was added",
            ]
        );
    }
}
