//! Platforms as OCI and buildx write them: `os/architecture[/variant]`.

use super::text::checked_text;

checked_text!(
    /// A platform of an image, for instance `linux/amd64` or `linux/arm/v7`.
    Platform,
    "platform",
    platform
);

impl Platform {
    /// Operating system, architecture and, where there is one, variant.
    pub fn parts(&self) -> (&str, &str, Option<&str>) {
        let mut parts = self.as_str().splitn(3, '/');
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next())
    }
}

fn platform(text: &str) -> Result<(), String> {
    let word = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let parts: Vec<&str> = text.split('/').collect();
    if (2..=3).contains(&parts.len()) && parts.into_iter().all(word) {
        Ok(())
    } else {
        Err("expected `os/architecture`, such as `linux/amd64`".to_owned())
    }
}
