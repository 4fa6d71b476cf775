//! An error for people: what failed, why, and the next command to type.

use std::fmt::Write;

use xtask_model::failure::{Exit, Failure, Interrupted};
use xtask_model::remote::RemoteError;

/// The text of an error and the exit code it asks for. A registry or GitHub that may answer another time
/// leaves the command unfinished, unless a [`Failure`] says more.
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
    let remote = error.chain().find_map(|cause| cause.downcast_ref::<RemoteError>());
    let hint = failure.and_then(|failure| failure.hint.as_deref());
    if let Some(hint) = hint.or(remote.and_then(RemoteError::hint)) {
        let _ = write!(text, "\n\nhint: {hint}");
    }
    let is_interrupted = error.chain().any(<dyn std::error::Error>::is::<Interrupted>);
    let exit = match (failure, remote) {
        (Some(failure), _) if failure.exit != Exit::Failed => failure.exit,
        (_, Some(remote)) => remote.exit(),
        _ if is_interrupted => Exit::Unfinished,
        _ => Exit::Failed,
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
    fn a_registry_that_stays_away_ends_with_4() {
        let outage = RemoteError::Server { status: 503, message: "away".to_owned() };
        let (exit, text) = rendered(&anyhow::Error::from(outage).context("cannot read `x`"));
        expect_test::expect![[r"
            error: cannot read `x`
              because server error 503: away

            hint: run it again later; it continues where it stopped"]]
        .assert_eq(&text);
        assert_eq!(exit, Exit::Unfinished);
        let denied = RemoteError::Denied { message: "no access".to_owned() };
        let (exit, text) = rendered(&denied.into());
        assert!(text.contains("hint: in a job: `permissions: packages: write`"), "{text}");
        assert_eq!(exit, Exit::Failed);
    }

    #[test]
    fn an_interrupt_exits_as_unfinished() {
        let error = anyhow::Error::from(Interrupted);
        assert_eq!(rendered(&error).0, Exit::Unfinished);
        assert_eq!(rendered(&error.context("while it waited")).0, Exit::Unfinished);
    }
}
