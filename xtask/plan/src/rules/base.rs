//! Rules about the images that a build begins with or copies from.

use xtask_model::dockerfile::Source;

use super::view::View;
use super::{Found, Rule};

pub const BASE_LATEST: Rule = Rule {
    name: "base-latest",
    why: "`latest` is another image tomorrow, and nothing tells which one a build had",
    find: |view| judge(view, |name| name.tag == Some("latest"), "is another image tomorrow"),
};

pub const BASE_UNPINNED: Rule = Rule {
    name: "base-unpinned",
    why: "a name without a tag means `latest`",
    find: |view| judge(view, |name| name.tag.is_none(), "has no tag, which means `latest`"),
};

/// The name of an image without a digest.
struct Name<'a> {
    whole: &'a str,
    path: &'a str,
    tag: Option<&'a str>,
}

impl<'a> Name<'a> {
    /// `None` for one with a digest, which is always the same image.
    fn parse(whole: &'a str) -> Option<Self> {
        if whole.contains('@') {
            return None;
        }
        // A colon before the last `/` is that of a port.
        let tag = whole.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
        let (path, tag) = tag.map_or((whole, None), |(path, tag)| (path, Some(tag)));
        Some(Self { whole, path, tag })
    }
}

/// Each name of an image that `is_wrong`, at the first instruction that has it.
fn judge(view: &View<'_>, is_wrong: fn(&Name<'_>) -> bool, why: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for (position, stage) in view.file.stages.iter().enumerate() {
        let base = (stage.from.line, view.file.base(position, &view.values));
        let copied = stage.instructions.iter().flat_map(|instruction| {
            let sources = instruction.sources().into_iter();
            sources.map(|name| (instruction.line, view.file.source(&name, position, &view.values)))
        });
        for (line, source) in std::iter::once(base).chain(copied) {
            let Source::Image(image) = source else { continue };
            if let Some(name) = Name::parse(&image).filter(is_wrong) {
                found.push(Found::new(
                    line,
                    format!("`{}` {why}", name.whole),
                    format!("name a version, best with its digest: {}:VERSION@sha256:…", name.path),
                ));
            }
        }
    }
    found
}
