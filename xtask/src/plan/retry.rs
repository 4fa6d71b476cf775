//! Whether a failure is worth another attempt. Each signature is a text that BuildKit, a registry or
//! the network was seen to say; what no signature names is not tried again.

use std::time::Duration;

use crate::model::build::BuildSpec;
use crate::model::solve::Stall;

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Try again; the reason names the signature.
    Retry(&'static str),
    /// Try again without the cache tier that failed.
    WithoutCache(&'static str),
    /// Try again, and if it fails once more without what the builder has of the steps.
    Anew(&'static str),
    /// The next attempt would fail too.
    GiveUp(&'static str),
}

/// How often something is tried in all.
pub const ATTEMPTS: u32 = 4;

/// The longest wait that a registry may ask for; a longer one is the user's to wait.
pub const LONGEST: Duration = Duration::from_secs(120);

/// Failures that stay, whatever else the text says. They are looked for first.
const PERMANENT: [(&str, &str); 8] = [
    ("did not complete successfully", "a step of the Dockerfile failed"),
    ("dockerfile parse error", "the Dockerfile cannot be read"),
    ("no space left on device", "the disk is full"),
    ("403 Forbidden", "the registry denies the push"),
    ("denied:", "the registry denies the push"),
    ("insufficient_scope", "the token does not reach far enough"),
    ("failed to compute cache key", "a file that is copied is not there"),
    ("executable file not found", "a program is not there"),
];

/// A cache that cannot be read. BuildKit treats it as fatal only when it is misconfigured.
const CACHE: [(&str, &str); 2] = [
    // moby/buildkit#2007: an importer that fails to configure ends the build.
    ("cache importer", "a cache tier cannot be read"),
    ("importing cache", "a cache tier cannot be read"),
];

/// A builder that lost what it has of a step.
const LOST: [(&str, &str); 2] = [
    // moby/buildkit#6808: a step shared with a build that was ended is released too early.
    ("does not exist: not found", "the builder lost a step that another build shared"),
    ("context canceled", "a step was shared with a build that was ended"),
];

/// Failures that pass. Go's `net/http` and containerd's resolver give the words.
const TRANSIENT: [(&str, &str); 17] = [
    ("429 Too Many Requests", "too many requests"),
    ("toomanyrequests", "too many requests"),
    ("500 Internal Server Error", "the registry failed"),
    ("502 Bad Gateway", "the registry failed"),
    ("503 Service Unavailable", "the registry failed"),
    ("504 Gateway Timeout", "the registry failed"),
    // docker/buildx#1271: pushes to GHCR that end with a reset.
    ("connection reset by peer", "the connection was reset"),
    ("broken pipe", "the connection was reset"),
    ("unexpected EOF", "the connection was cut"),
    ("EOF", "the connection was cut"),
    ("i/o timeout", "the network did not answer"),
    ("TLS handshake timeout", "the network did not answer"),
    ("connection refused", "the registry does not listen"),
    ("server closed idle connection", "the connection was closed"),
    // A token that ended in the middle of a push: the next attempt gets a new one.
    ("401 Unauthorized", "the token has expired"),
    // docker/build-push-action#981: what was just pushed is not there yet.
    ("manifest unknown", "what was just pushed is not there yet"),
    ("blob unknown", "what was just pushed is not there yet"),
];

/// Judges the words of a failed build or push.
pub fn judge(error: &str) -> Verdict {
    let lower = error.to_ascii_lowercase();
    let find = |signatures: &[(&'static str, &'static str)]| {
        signatures
            .iter()
            .find(|(words, _)| lower.contains(&words.to_ascii_lowercase()))
            .map(|(_, reason)| *reason)
    };
    if let Some(reason) = find(&PERMANENT) {
        return Verdict::GiveUp(reason);
    }
    if let Some(reason) = find(&CACHE) {
        return Verdict::WithoutCache(reason);
    }
    if let Some(reason) = find(&LOST) {
        return Verdict::Anew(reason);
    }
    find(&TRANSIENT).map_or(Verdict::GiveUp("no known passing failure"), Verdict::Retry)
}

/// Judges a build that waited for what may never come. `freed` says that its builder was restarted.
pub fn stalled(stall: Stall, freed: bool) -> Verdict {
    match (stall, freed) {
        (Stall::Import, _) => Verdict::WithoutCache("a cache import hung"),
        (Stall::Beginning, true) => Verdict::Retry("the builder was restarted"),
        (Stall::Beginning, false) => Verdict::GiveUp("the builder does not begin"),
    }
}

/// The next attempt after `done` of them, the last of which was `spec` and failed with `error`: what is
/// built, and why again. `None` when there is none.
pub fn next(
    spec: &BuildSpec,
    verdict: Verdict,
    error: &str,
    done: u32,
) -> Option<(BuildSpec, &'static str)> {
    if done >= ATTEMPTS {
        return None;
    }
    let mut next = spec.clone();
    let reason = match verdict {
        Verdict::GiveUp(_) => return None,
        Verdict::WithoutCache(_) if spec.cache_from.is_empty() => return None,
        Verdict::WithoutCache(reason) => {
            next.cache_from.retain(|source| !is_named(source, error));
            if next.cache_from.len() == spec.cache_from.len() {
                next.cache_from.clear();
            }
            reason
        }
        Verdict::Anew(reason) => {
            next.no_cache = done > 1;
            reason
        }
        Verdict::Retry(reason) => reason,
    };
    Some((next, reason))
}

/// Whether an error speaks of a cache source, a value of `--cache-from`.
fn is_named(source: &str, error: &str) -> bool {
    let reference = source.split(',').find_map(|field| field.strip_prefix("ref="));
    match reference {
        Some(reference) => error.contains(reference),
        None => source.starts_with("type=gha") && error.contains("gha"),
    }
}

/// How long to wait before attempt number `next`, counted from 2. `chance` from 0 to 1 spreads those
/// who failed together; `asked` is the registry's own wish.
pub fn wait(next: u32, chance: f64, asked: Option<Duration>) -> Duration {
    if let Some(asked) = asked {
        return asked.min(LONGEST);
    }
    let longest = Duration::from_millis(500) * 2_u32.saturating_pow(next.saturating_sub(2));
    // At least half of it, so that the registry has time to recover.
    longest.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_tried_again() {
        for error in [
            "failed to push x: unexpected status from PUT request to https://ghcr.io/v2/: 503 Service Unavailable",
            "failed to do request: Put \"https://x\": write: connection reset by peer",
            "failed to copy: httpReadSeeker: unexpected EOF",
            "unexpected status from POST request: 401 Unauthorized",
        ] {
            assert!(matches!(judge(error), Verdict::Retry(_)), "{error}");
        }
    }

    #[test]
    fn what_stays_is_never_tried_again() {
        for error in [
            "process \"/bin/sh -c curl x\" did not complete successfully: exit code: 1 (connection reset by peer)",
            "failed to push: denied: permission_denied: write_package",
            "write /var/lib: no space left on device",
            "unexpected status: 403 Forbidden",
            "something nobody has seen",
        ] {
            assert!(matches!(judge(error), Verdict::GiveUp(_)), "{error}");
        }
    }

    #[test]
    fn a_cache_that_fails_is_dropped_and_not_the_build() {
        let error = "failed to configure registry cache importer: unexpected EOF";
        assert!(matches!(judge(error), Verdict::WithoutCache(_)));
    }

    #[test]
    fn only_the_tier_that_failed_is_dropped() {
        let spec = BuildSpec {
            cache_from: vec!["type=registry,ref=r/web:cache".into(), "type=gha,scope=web".into()],
            ..BuildSpec::default()
        };
        let left = |verdict, error: &str, done| {
            next(&spec, verdict, error, done).map(|(spec, _)| spec.cache_from.join(" "))
        };
        let without = Verdict::WithoutCache("");
        assert_eq!(left(without, "from r/web:cache", 1).as_deref(), Some("type=gha,scope=web"));
        assert_eq!(left(without, "gha: EOF", 1).as_deref(), Some("type=registry,ref=r/web:cache"));
        assert_eq!(left(without, "importer", 1).as_deref(), Some(""));
        assert_eq!(left(Verdict::Retry(""), "", ATTEMPTS), None);
        assert_eq!(left(Verdict::GiveUp(""), "", 1), None);
        let bare = BuildSpec::default();
        assert_eq!(next(&bare, without, "", 1), None);
    }

    #[test]
    fn a_step_that_the_builder_lost_is_tried_once_more_and_then_made_anew() {
        let error = "failed to commit a to b during finalize: snapshot a does not exist: not found";
        let anew =
            |done| next(&BuildSpec::default(), judge(error), error, done).map(|n| n.0.no_cache);
        assert_eq!([1, 2, 3, 4].map(anew), [Some(false), Some(true), Some(true), None]);
    }

    #[test]
    fn a_builder_that_does_not_begin_is_tried_again_only_if_it_was_freed() {
        assert!(matches!(stalled(Stall::Beginning, false), Verdict::GiveUp(_)));
        assert!(matches!(stalled(Stall::Beginning, true), Verdict::Retry(_)));
        assert!(matches!(stalled(Stall::Import, false), Verdict::WithoutCache(_)));
    }

    #[test]
    fn waits_grow_and_end() {
        let waits = [2, 3, 4].map(|next| wait(next, 1.0, None).as_millis());
        assert_eq!(waits, [500, 1000, 2000]);
        assert_eq!(wait(2, 0.0, None).as_millis(), 250);
        assert_eq!(wait(2, 0.5, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(wait(2, 0.5, Some(Duration::from_secs(9999))), LONGEST);
    }
}
