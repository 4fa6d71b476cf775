//! Whether a failure is worth another attempt. Each signature is a text that BuildKit, a registry or
//! the network was seen to say; what no signature names is not tried again.

use std::time::Duration;

use xtask_model::build::BuildSpec;
use xtask_model::solve::Stall;

use Verdict::{Anew, GiveUp, Retry, WithoutCache};

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

/// The words, the verdict, and the reason that goes into it.
type Signature = (&'static str, fn(&'static str) -> Verdict, &'static str);

/// What failures say, the first that fits first: `…` stands for any text. What BuildKit's own words are
/// comes from its sources; Go's `net/http` and containerd's resolver give the others.
const SIGNATURES: [Signature; 35] = [
    // A step may print anything.
    ("did not complete successfully", GiveUp, "a step of the Dockerfile failed"),
    ("dockerfile parse error", GiveUp, "the Dockerfile cannot be read"),
    ("no space left on device", GiveUp, "the disk is full"),
    (
        "failed to calculate checksum of ref … not found",
        GiveUp,
        "a file that is copied is not there",
    ),
    // moby/buildkit#2332, docker/buildx#681, docker/build-push-action#449: the cache names a layer that
    // was evicted since; BuildKit fails the step with it and does not execute it instead.
    ("blob not found", WithoutCache, "a layer of the cache is gone"),
    // moby/buildkit#4765, docker/buildx#3374: the same, since BuildKit 0.13.
    ("blob sha256:… not found", WithoutCache, "a layer of the cache is gone"),
    ("content digest sha256:… not found", WithoutCache, "a layer of the cache is gone"),
    // containerd's words for a blob that the registry does not have.
    ("could not fetch content descriptor sha256:… not found", WithoutCache, "a layer is gone"),
    // GHCR answers with 403 when too much is pushed at once.
    ("secondary rate limit", Retry, "too many requests"),
    ("403 Forbidden", GiveUp, "the registry denies the push"),
    ("denied:", GiveUp, "the registry denies the push"),
    ("insufficient_scope", GiveUp, "the token does not reach far enough"),
    ("executable file not found", GiveUp, "a program is not there"),
    // moby/buildkit#2007: an importer that fails to configure ends the build.
    ("cache importer", WithoutCache, "a cache tier cannot be read"),
    ("importing cache", WithoutCache, "a cache tier cannot be read"),
    // moby/buildkit#6808: a step shared with a build that was ended is released too early.
    ("does not exist: not found", Anew, "the builder lost a step that another build shared"),
    ("context canceled", Anew, "a step was shared with a build that was ended"),
    // docker/build-push-action#1194: BuildKit does not try a push again after a 429.
    ("429 Too Many Requests", Retry, "too many requests"),
    ("toomanyrequests", Retry, "too many requests"),
    ("500 Internal Server Error", Retry, "the registry failed"),
    ("502 Bad Gateway", Retry, "the registry failed"),
    ("503 Service Unavailable", Retry, "the registry failed"),
    ("504 Gateway Timeout", Retry, "the registry failed"),
    // docker/buildx#1271: pushes to GHCR that end with a reset.
    ("connection reset by peer", Retry, "the connection was reset"),
    ("broken pipe", Retry, "the connection was reset"),
    // docker/build-push-action#626: a connection that was cut in the middle of an upload.
    ("cannot reuse body, request must be retried", Retry, "the connection was cut"),
    // moby/buildkit#2568: a layer whose download was cut.
    ("unexpected EOF", Retry, "the connection was cut"),
    (": EOF", Retry, "the connection was cut"),
    // docker/build-push-action#251: pushes to GHCR that end with a timeout.
    ("i/o timeout", Retry, "the network did not answer"),
    ("TLS handshake timeout", Retry, "the network did not answer"),
    ("connection refused", Retry, "the registry does not listen"),
    ("server closed idle connection", Retry, "the connection was closed"),
    // A token that ended in the middle of a push: the next attempt gets a new one.
    ("401 Unauthorized", Retry, "the token has expired"),
    // docker/build-push-action#981: what was just pushed is not there yet.
    ("manifest unknown", Retry, "what was just pushed is not there yet"),
    ("blob unknown", Retry, "what was just pushed is not there yet"),
];

/// Judges the words of a failed build or push.
pub fn judge(error: &str) -> Verdict {
    let lower = error.to_ascii_lowercase();
    let found = SIGNATURES.iter().find(|(words, ..)| says(&lower, &words.to_ascii_lowercase()));
    found.map_or(GiveUp("no known passing failure"), |(_, verdict, reason)| verdict(reason))
}

/// Whether all parts of `words` stand in `error`, in their order.
fn says(error: &str, words: &str) -> bool {
    let rest = words.split('…').try_fold(error, |rest, part| Some(rest.split_once(part)?.1));
    rest.is_some()
}

/// Judges a build that waited for what may never come. `freed` says that its builder was restarted.
pub fn stalled(stall: Stall, freed: bool) -> Verdict {
    match (stall, freed) {
        (Stall::Import, _) => WithoutCache("a cache import hung"),
        (Stall::Beginning, true) => Retry("the builder was restarted"),
        // It is no part of the build, which is there.
        (Stall::Export, _) => GiveUp("an export hung"),
        (Stall::Beginning, false) => GiveUp("the builder does not begin"),
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
        GiveUp(_) => return None,
        // What the builder itself has of the cache is all that is left to do without.
        WithoutCache(_) if spec.no_cache => return None,
        WithoutCache(reason) if spec.cache_from.is_empty() => {
            next.no_cache = true;
            reason
        }
        WithoutCache(reason) => {
            next.cache_from.retain(|source| !is_named(source, error));
            if next.cache_from.len() == spec.cache_from.len() {
                next.cache_from.clear();
            }
            reason
        }
        Anew(reason) => {
            next.no_cache = done > 1;
            reason
        }
        Retry(reason) => reason,
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
/// who failed together; `asked` is the registry's own wish. `None` when it asks for more than
/// [`LONGEST`], before which another attempt would only fail.
pub fn wait(next: u32, chance: f64, asked: Option<Duration>) -> Option<Duration> {
    if let Some(asked) = asked {
        return (asked <= LONGEST).then_some(asked);
    }
    let longest = Duration::from_millis(500) * 2_u32.saturating_pow(next.saturating_sub(2));
    // At least half of it, so that the registry has time to recover.
    Some(longest.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0))
}

/// How long a registry asks to wait, where its words tell: BuildKit shows no header, but the bodies of
/// GHCR and others say `toomanyrequests: retry-after: 1m2.5s, allowed: 44000/minute`.
pub fn asked(error: &str) -> Option<Duration> {
    let lower = error.to_ascii_lowercase();
    let (_, rest) = lower.split_once("retry-after: ")?;
    let mut rest = rest.split([',', ';', '"', ' ', '\n']).next()?;
    let mut asked = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "" | "s" => 1.0,
            "ms" => 1e-3,
            "µs" | "us" => 1e-6,
            _ => return None,
        };
        asked += Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        rest = after;
    }
    Some(asked)
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
            "failed to do request: Head \"https://x\": EOF",
            "unexpected status from POST request: 401 Unauthorized",
            "failed to compute cache key: failed to read expected number of bytes: unexpected EOF",
            "unexpected status from PUT request to https://ghcr.io/v2/: 403 Forbidden: You have exceeded a secondary rate limit",
        ] {
            assert!(matches!(judge(error), Retry(_)), "{error}");
        }
    }

    #[test]
    fn what_stays_is_never_tried_again() {
        for error in [
            "process \"/bin/sh -c curl x\" did not complete successfully: exit code: 1 (connection reset by peer)",
            "failed to push: denied: permission_denied: write_package",
            "write /var/lib: no space left on device",
            "unexpected status: 403 Forbidden",
            "failed to compute cache key: failed to calculate checksum of ref a::b: \"/x\": not found",
            "process \"/bin/sh -c x\" did not complete successfully: exit code: 1; blob not found",
            "invalid reference GEOFENCE",
            "something nobody has seen",
        ] {
            assert!(matches!(judge(error), GiveUp(_)), "{error}");
        }
    }

    #[test]
    fn a_cache_that_fails_is_dropped_and_not_the_build() {
        let digest = "sha256:043e7f3dd05ab4bea31533694054d95fdc672fa089066248f176a60cb051493c";
        for error in [
            "failed to configure registry cache importer: unexpected EOF",
            "failed to compute cache key: blob not found",
            &format!("failed to solve: failed to compute cache key: blob {digest} not found"),
            &format!("failed to get state for index: content digest {digest}: not found"),
            &format!(
                "failed to copy: httpReadSeeker: failed open: could not fetch content descriptor {digest} (application/vnd.oci.image.layer.v1.tar+zstd) from remote: not found"
            ),
        ] {
            assert!(matches!(judge(error), WithoutCache(_)), "{error}");
        }
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
        let without = WithoutCache("");
        assert_eq!(left(without, "from r/web:cache", 1).as_deref(), Some("type=gha,scope=web"));
        assert_eq!(left(without, "gha: EOF", 1).as_deref(), Some("type=registry,ref=r/web:cache"));
        assert_eq!(left(without, "importer", 1).as_deref(), Some(""));
        assert_eq!(left(Retry(""), "", ATTEMPTS), None);
        assert_eq!(left(GiveUp(""), "", 1), None);
        // What it imported before stays with the builder.
        let bare = next(&BuildSpec::default(), without, "", 1).unwrap().0;
        assert!(bare.no_cache);
        assert_eq!(next(&bare, without, "", 2), None);
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
        assert!(matches!(stalled(Stall::Beginning, false), GiveUp(_)));
        assert!(matches!(stalled(Stall::Beginning, true), Retry(_)));
        assert!(matches!(stalled(Stall::Import, false), WithoutCache(_)));
    }

    #[test]
    fn waits_grow_and_end() {
        let waits = [2, 3, 4].map(|next| wait(next, 1.0, None).unwrap().as_millis());
        assert_eq!(waits, [500, 1000, 2000]);
        assert_eq!(wait(2, 0.0, None).unwrap().as_millis(), 250);
        let seven = Duration::from_secs(7);
        assert_eq!(wait(2, 0.5, Some(seven)), Some(seven));
        assert_eq!(wait(2, 0.5, Some(LONGEST + seven)), None);
    }

    #[test]
    fn the_words_of_a_registry_tell_how_long_it_asks_to_wait() {
        let check = |wish: &str, expected: Option<f64>| {
            let error = format!("429 Too Many Requests - toomanyrequests: retry-after: {wish}");
            assert_eq!(asked(&error).map(|asked| asked.as_secs_f64()), expected, "{wish}");
        };
        check("1.5s, allowed: 44000/minute", Some(1.5));
        check("1m2.5s", Some(62.5));
        check("250ms, allowed: 1/s", Some(0.25));
        check("30", Some(30.0));
        check("soon", None);
        assert_eq!(asked("429 Too Many Requests"), None);
    }
}
