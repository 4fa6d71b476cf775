//! Platforms as OCI and buildx write them: `os/architecture[/variant]`.

use super::spelling::nearest;
use super::text::checked_text;

checked_text!(
    /// A platform of an image, for instance `linux/amd64` or `linux/arm/v7`.
    Platform,
    "platform",
    platform
);

impl Platform {
    /// Operating system, architecture and, if there is one, variant.
    pub fn parts(&self) -> (&str, &str, Option<&str>) {
        let mut parts = self.as_str().splitn(3, '/');
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next())
    }
}

/// Operating systems and architectures that images are made for, by Go's names (`go tool dist list`).
const SYSTEMS: [&str; 4] = ["linux", "windows", "darwin", "freebsd"];
const ARCHITECTURES: [&str; 14] = [
    "amd64", "arm64", "arm", "386", "ppc64le", "ppc64", "s390x", "riscv64", "loong64", "mips",
    "mipsle", "mips64", "mips64le", "wasm",
];

fn platform(text: &str) -> Result<(), String> {
    let parts: Vec<&str> = text.split('/').collect();
    let (system, architecture, variant) = match parts.as_slice() {
        [system, architecture] => (system, architecture, None),
        [system, architecture, variant] => (system, architecture, Some(variant)),
        _ => return Err("expected `os/architecture`, such as `linux/amd64`".to_owned()),
    };
    one_of("operating system", system, &SYSTEMS)?;
    one_of("architecture", architecture, &ARCHITECTURES)?;
    match variant.filter(|variant| !is_variant(variant)) {
        Some(variant) => Err(format!("`{variant}` is not a variant; expected one such as `v7`")),
        None => Ok(()),
    }
}

fn one_of(what: &str, word: &str, known: &[&str]) -> Result<(), String> {
    if known.contains(&word) {
        return Ok(());
    }
    let advice = match nearest(word, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("expected one of {}", known.join(", ")),
    };
    Err(format!("`{}` is not a known {what}; {advice}", word.escape_debug()))
}

/// `v8`, `v8.1`.
fn is_variant(text: &str) -> bool {
    let numbers = text.strip_prefix('v').unwrap_or_default().split('.');
    numbers.into_iter().all(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_platform_is_refused_with_a_suggestion() {
        let check = |text: &str, expected: &str| {
            let problem =
                Platform::new(text).map_or_else(|error| error.problem, |_| "ok".to_owned());
            assert_eq!(problem, expected, "{text}");
        };
        for good in
            ["linux/amd64", "linux/arm/v7", "linux/arm64/v8.1", "windows/amd64", "linux/386"]
        {
            check(good, "ok");
        }
        check("linux/amd46", "`amd46` is not a known architecture; did you mean `amd64`?");
        check("linxu/amd64", "`linxu` is not a known operating system; did you mean `linux`?");
        check("linux/arm/7", "`7` is not a variant; expected one such as `v7`");
        check("amd64", "expected `os/architecture`, such as `linux/amd64`");
        check(
            "linux/amd64,linux",
            "`amd64,linux` is not a known architecture; expected one of amd64, arm64, arm, 386, ppc64le, ppc64, s390x, riscv64, loong64, mips, mipsle, mips64, mips64le, wasm",
        );
    }
}
