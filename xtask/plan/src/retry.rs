//! Decides whether a failure is worth another attempt. Each symptom is an error text that BuildKit, a
//! registry or the network has produced; a failure without a known symptom is not retried.

use std::time::Duration;

use xtask_model::build::BuildSpec;
use xtask_model::retry::POLICY;
use xtask_model::solve::Stall;

use Reaction::{Anew, GiveUp, Outage, Retry, WithoutCache};

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Try again; the registry or the network failed, and may still fail after the last attempt.
    Outage(&'static str),
    /// Try again; the reason describes the error.
    Retry(&'static str),
    /// Try again without the cache tier that failed.
    WithoutCache(&'static str),
    /// Try again; if that fails too, without the builder's own cache.
    Anew(&'static str),
    /// The next attempt would fail too.
    GiveUp(&'static str),
}

/// The error text, the reaction, and its reason.
type Symptom = (&'static str, fn(&'static str) -> Reaction, &'static str);

/// Error texts; the first one that fits decides. `…` stands for any text. They come from the sources of
/// BuildKit, of Go's `net/http` and of containerd's resolver.
const SYMPTOMS: [Symptom; 38] = [
    // A step may print anything.
    ("did not complete successfully", GiveUp, "a step of the Dockerfile failed"),
    ("dockerfile parse error", GiveUp, "the Dockerfile cannot be read"),
    ("no space left on device", GiveUp, "the disk is full"),
    ("failed to calculate checksum of ref … not found", GiveUp, "a copied file does not exist"),
    // moby/buildkit#2332, docker/buildx#681, docker/build-push-action#449: the cache lists a layer that
    // was evicted since. BuildKit fails the step instead of executing it.
    ("blob not found", WithoutCache, "a layer of the cache is gone"),
    // moby/buildkit#4765, docker/buildx#3374: the same, since BuildKit 0.13.
    ("blob sha256:… not found", WithoutCache, "a layer of the cache is gone"),
    ("content digest sha256:… not found", WithoutCache, "a layer of the cache is gone"),
    // containerd's error for a blob that the registry does not have.
    ("could not fetch content descriptor sha256:… not found", WithoutCache, "a layer is gone"),
    // GHCR answers 403 when too much is pushed at once.
    ("secondary rate limit", Outage, "too many requests"),
    ("403 Forbidden", GiveUp, "the registry denies the push"),
    ("denied:", GiveUp, "the registry denies the push"),
    ("insufficient_scope", GiveUp, "the token lacks a permission"),
    ("executable file not found", GiveUp, "a program is missing"),
    // moby/buildkit#2007: an importer that cannot be configured ends the build.
    ("cache importer", WithoutCache, "a cache tier cannot be read"),
    ("importing cache", WithoutCache, "a cache tier cannot be read"),
    // moby/buildkit#6808: BuildKit releases a step too early when it ends a build that shares it.
    ("does not exist: not found", Anew, "the builder lost a step that another build shared"),
    ("context canceled", Anew, "a shared step was canceled with another build"),
    // docker/build-push-action#1194: BuildKit does not retry a push after a 429.
    ("429 Too Many Requests", Outage, "too many requests"),
    ("toomanyrequests", Outage, "too many requests"),
    ("500 Internal Server Error", Outage, "the registry failed"),
    ("502 Bad Gateway", Outage, "the registry failed"),
    ("503 Service Unavailable", Outage, "the registry failed"),
    ("504 Gateway Timeout", Outage, "the registry failed"),
    // docker/buildx#1271: a push to GHCR ends with a reset.
    ("connection reset by peer", Outage, "the connection was reset"),
    ("broken pipe", Outage, "the connection was reset"),
    // docker/build-push-action#626: the connection was cut during an upload.
    ("cannot reuse body, request must be retried", Outage, "the connection was cut"),
    // moby/buildkit#2568: the download of a layer was cut.
    ("unexpected EOF", Outage, "the connection was cut"),
    (": EOF", Outage, "the connection was cut"),
    // docker/build-push-action#251: a push to GHCR ends with a timeout.
    ("i/o timeout", Outage, "the network did not answer"),
    ("connection timed out", Outage, "the network did not answer"),
    ("context deadline exceeded", Outage, "the network did not answer"),
    ("Client.Timeout exceeded", Outage, "the network did not answer"),
    ("TLS handshake timeout", Outage, "the network did not answer"),
    ("connection refused", Outage, "the registry refused the connection"),
    ("server closed idle connection", Outage, "the connection was closed"),
    // The token expired during a push; the next attempt gets a new one.
    ("401 Unauthorized", Retry, "the token has expired"),
    // docker/build-push-action#981: the registry does not have the pushed blob yet.
    ("manifest unknown", Retry, "the pushed blob is not available yet"),
    ("blob unknown", Retry, "the pushed blob is not available yet"),
];

/// Judges the error of a failed build or push.
pub fn judge(error: &str) -> Reaction {
    let lower = error.to_ascii_lowercase();
    let found = SYMPTOMS.iter().find(|(words, ..)| says(&lower, &words.to_ascii_lowercase()));
    found.map_or(GiveUp("not a known temporary failure"), |(_, verdict, reason)| verdict(reason))
}

/// Whether `error` contains all parts of `words` in their order.
fn says(error: &str, words: &str) -> bool {
    let rest = words.split('…').try_fold(error, |rest, part| Some(rest.split_once(part)?.1));
    rest.is_some()
}

/// Judges a build that stalled. `freed` says that its builder was restarted.
pub fn stalled(stall: Stall, freed: bool) -> Reaction {
    match (stall, freed) {
        (Stall::Import, _) => WithoutCache("a cache import hung"),
        (Stall::Beginning, true) => Retry("the builder was restarted"),
        // The image itself is done.
        (Stall::Export, _) => GiveUp("an export hung"),
        (Stall::Beginning, false) => GiveUp("the builder does not start"),
    }
}

/// The next attempt after `done` attempts, the last of which was `spec` and failed with `error`: what to
/// build, and why again. `None` if there is none.
pub fn next(
    spec: &BuildSpec,
    verdict: Reaction,
    error: &str,
    done: u32,
) -> Option<(BuildSpec, &'static str)> {
    if done >= POLICY.attempts {
        return None;
    }
    let mut next = spec.clone();
    let reason = match verdict {
        GiveUp(_) => return None,
        // Only the builder's own cache is left to do without.
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
        Outage(reason) | Retry(reason) => reason,
    };
    Some((next, reason))
}

/// Whether an error names a cache source, a value of `--cache-from`.
fn is_named(source: &str, error: &str) -> bool {
    let reference = source.split(',').find_map(|field| field.strip_prefix("ref="));
    match reference {
        Some(reference) => error.contains(reference),
        None => source.starts_with("type=gha") && error.contains("gha"),
    }
}

/// How long a registry asks to wait, if its error says so. BuildKit shows no header, but GHCR and others answer
/// with the text `toomanyrequests: retry-after: 1m2.5s, allowed: 44000/minute`.
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
    fn a_temporary_failure_is_retried() {
        for error in [
            "failed to push x: unexpected status from PUT request to https://ghcr.io/v2/: 503 Service Unavailable",
            "failed to do request: Put \"https://x\": write: connection reset by peer",
            "failed to copy: httpReadSeeker: unexpected EOF",
            "failed to do request: Head \"https://x\": EOF",
            "failed to do request: Get \"https://x\": context deadline exceeded",
            "failed to compute cache key: failed to read expected number of bytes: unexpected EOF",
            "unexpected status from PUT request to https://ghcr.io/v2/: 403 Forbidden: You have exceeded a secondary rate limit",
        ] {
            assert!(matches!(judge(error), Outage(_)), "{error}");
        }
    }

    #[test]
    fn an_expired_token_is_no_outage() {
        let error = "unexpected status from POST request: 401 Unauthorized";
        assert_eq!(judge(error), Retry("the token has expired"));
    }

    #[test]
    fn a_permanent_failure_is_not_retried() {
        for error in [
            "process \"/bin/sh -c curl x\" did not complete successfully: exit code: 1 (connection reset by peer)",
            "failed to push: denied: permission_denied: write_package",
            "write /var/lib: no space left on device",
            "unexpected status: 403 Forbidden",
            "failed to compute cache key: failed to calculate checksum of ref a::b: \"/x\": not found",
            "process \"/bin/sh -c x\" did not complete successfully: exit code: 1; blob not found",
            "invalid reference GEOFENCE",
            "an unknown error",
        ] {
            assert!(matches!(judge(error), GiveUp(_)), "{error}");
        }
    }

    #[test]
    fn a_failing_cache_is_dropped() {
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
        assert_eq!(left(Retry(""), "", POLICY.attempts), None);
        assert_eq!(left(GiveUp(""), "", 1), None);
        // The builder still has the earlier import.
        let bare = next(&BuildSpec::default(), without, "", 1).unwrap().0;
        assert!(bare.no_cache);
        assert_eq!(next(&bare, without, "", 2), None);
    }

    #[test]
    fn a_lost_step_is_finally_built_without_cache() {
        let error = "failed to commit a to b during finalize: snapshot a does not exist: not found";
        let anew =
            |done| next(&BuildSpec::default(), judge(error), error, done).map(|n| n.0.no_cache);
        assert_eq!([1, 2, 3, 4].map(anew), [Some(false), Some(true), Some(true), None]);
    }

    #[test]
    fn a_stuck_builder_is_retried_after_a_restart() {
        assert!(matches!(stalled(Stall::Beginning, false), GiveUp(_)));
        assert!(matches!(stalled(Stall::Beginning, true), Retry(_)));
        assert!(matches!(stalled(Stall::Import, false), WithoutCache(_)));
    }

    #[test]
    fn the_requested_wait_comes_from_the_error() {
        let check = |wait: &str, expected: Option<f64>| {
            let error = format!("429 Too Many Requests - toomanyrequests: retry-after: {wait}");
            assert_eq!(asked(&error).map(|asked| asked.as_secs_f64()), expected, "{wait}");
        };
        check("1.5s, allowed: 44000/minute", Some(1.5));
        check("1m2.5s", Some(62.5));
        check("250ms, allowed: 1/s", Some(0.25));
        check("30", Some(30.0));
        check("soon", None);
        assert_eq!(asked("429 Too Many Requests"), None);
    }
}
