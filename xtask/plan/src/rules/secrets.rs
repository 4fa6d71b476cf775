//! The rule about secrets that become part of an image.

use xtask_model::secret::looks_secret;

use super::view::View;
use super::{Found, Rule};

pub const SECRET_IN_IMAGE: Rule = Rule {
    name: "secret-in-image",
    why: "the value of an `ARG` or `ENV` stays in the image's history and in its provenance",
    find: secret_in_image,
};

fn secret_in_image(view: &View<'_>) -> Vec<Found> {
    let set = view.instructions().filter(|i| matches!(i.keyword.as_str(), "ARG" | "ENV"));
    set.filter_map(|instruction| {
        let is_argument = instruction.keyword == "ARG";
        let names = instruction.pairs().into_iter().filter(|(name, value)| {
            // `ENV TOKEN=` says that there is one, and holds none.
            let held = is_argument || value.as_ref().is_some_and(|value| !value.is_empty());
            held && looks_secret(name)
        });
        let names: Vec<String> = names.map(|(name, _)| format!("`{name}`")).collect();
        (!names.is_empty()).then(|| {
            Found::new(
                instruction.line,
                format!("{} stays in the image", names.join(", ")),
                "mount it for the step that needs it: RUN --mount=type=secret,id=NAME",
            )
        })
    })
    .collect()
}
