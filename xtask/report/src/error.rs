//! An error for people: what failed, why, and the next command to type.

use std::fmt::Write;

use xtask_model::failure::{Exit, Failure, Interrupted};

/// The text of an error, and its exit code. An error without a [`Failure`] is a plain failure.
pub fn rendered(error: &anyhow::Error) -> (Exit, String) {
    let mut text = "error: ".to_owned();
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    for (depth, cause) in causes.iter().enumerate() {
        match depth {
            0 => text.push_str(cause),
            _ => {
                let _ = write!(text, "\n  because {}", cause.replace('\n', "\n  "));
            }
        }
    }
    let failure = error.chain().find_map(|cause| cause.downcast_ref::<Failure>());
    if let Some(hint) = failure.and_then(|failure| failure.hint.as_deref()) {
        let _ = write!(text, "\n\nhint: {hint}");
    }
    let interrupted = error.chain().find_map(|cause| cause.downcast_ref::<Interrupted>());
    let exit = match failure {
        Some(failure) => failure.exit,
        None if interrupted.is_some() => Exit::Unfinished,
        None => Exit::Failed,
    };
    (exit, text)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_failure_has_causes_hint_and_exit_code() {
        let failure = Failure::usage("there is no service `x`").hint("did you mean `y`?");
        let error = Err::<(), _>(failure).context("cannot build").unwrap_err();
        expect_test::expect![[r"
            error: cannot build
              because there is no service `x`

            hint: did you mean `y`?"]]
        .assert_eq(&rendered(&error).1);
        assert_eq!(rendered(&error).0, Exit::Usage);
    }

    #[test]
    fn an_interrupt_exits_as_unfinished() {
        let error = anyhow::Error::from(Interrupted);
        assert_eq!(rendered(&error).0, Exit::Unfinished);
        assert_eq!(rendered(&error.context("while it waited")).0, Exit::Unfinished);
    }
}
