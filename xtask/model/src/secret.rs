//! Recognizes secrets by their names.

/// Words that mark a secret anywhere in a name.
const WORDS: [&str; 12] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PWORD",
    "SECRET",
    "SECRETS",
    "TOKEN",
    "APIKEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "AUTH",
    "PAT",
];
/// Kinds of keys that are secret.
const KEYS: [&str; 7] = ["API", "ACCESS", "PRIVATE", "SECRET", "SIGNING", "SSH", "ENCRYPTION"];
/// Last words of names that only describe a secret, such as where it is or how long it is valid.
const HARMLESS: [&str; 10] =
    ["FILE", "PATH", "DIR", "URL", "NAME", "TTL", "TIMEOUT", "LENGTH", "PUBLIC", "SOCK"];

/// Whether a name is that of a secret.
pub fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words: Vec<&str> = name.split(['_', '-', '.']).collect();
    let last = words.last().copied().unwrap_or_default();
    if HARMLESS.contains(&last) || words.contains(&"PUBLIC") {
        return false;
    }
    let is_key = |pair: &[&str]| matches!(pair, [kind, "KEY"] if KEYS.contains(kind));
    // `PWD` alone is the shell's working directory.
    let is_password = words.len() > 1 && last == "PWD";
    is_password || words.iter().any(|word| WORDS.contains(word)) || words.windows(2).any(is_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in [
            "TOKEN",
            "NPM_TOKEN",
            "db_password",
            "MYSQL_PWD",
            "AWS_SECRET_ACCESS_KEY",
            "SECRET_KEY",
            "SECRET_KEY_BASE",
            "STRIPE_API_KEY",
            "SSH_PRIVATE_KEY",
            "GITHUB_PAT",
            "COSIGN_PASSWORD",
            "REGISTRY_AUTH",
            "DOCKER_CREDENTIALS",
        ] {
            assert!(looks_secret(name), "{name}");
        }
    }

    #[test]
    fn a_name_that_only_sounds_secret_is_harmless() {
        for name in [
            "PATH",
            "PWD",
            "OLDPWD",
            "KEYBOARD",
            "MONKEY",
            "AUTHOR",
            "TOKENS_PER_SECOND",
            "PUBLIC_KEY",
            "SSH_AUTH_SOCK",
            "DB_PASSWORD_FILE",
            "TOKEN_TTL",
            "CACHE_KEY",
        ] {
            assert!(!looks_secret(name), "{name}");
        }
    }
}
