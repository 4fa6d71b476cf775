use std::time::Duration;

use expect_test::{Expect, expect};

use super::*;

fn check(images: &str, expected: &Expect) {
    let text = format!("[workspace]\nmembers = []\n\n[workspace.metadata.images]\n{images}");
    let shown = match Config::parse("Cargo.toml", &text) {
        Ok(config) => format!("{config:#?}"),
        Err(failure) => {
            assert_eq!(failure.exit, crate::failure::Exit::Usage);
            failure.message
        }
    };
    expected.assert_eq(&shown);
}

#[test]
fn an_empty_configuration_has_the_defaults() {
    assert_eq!(Config::parse("Cargo.toml", "").unwrap(), Config::default());
    assert_eq!(Config::parse("Cargo.toml", "[package]\nname = 'x'").unwrap(), Config::default());
}

#[test]
fn an_unknown_key_gets_a_suggestion() {
    check(
        "platfroms = []",
        &expect![
            "Cargo.toml:5:1: unknown key `workspace.metadata.images.platfroms`: did you mean `platforms`?"
        ],
    );
    check(
        "[workspace.metadata.images.services.git-server]\nsize-limits = '1 GiB'",
        &expect![
            "Cargo.toml:6:1: unknown key `workspace.metadata.images.services.git-server.size-limits`: did you mean `size-limit`?"
        ],
    );
    check(
        "[workspace.metadata.images.services.a.smoke-test]\nfrobnicate = 1",
        &expect![
            "Cargo.toml:6:1: unknown key `workspace.metadata.images.services.a.smoke-test.frobnicate`: expected one of `port`, `status`, `timeout-seconds`, `stop-timeout-seconds`, `path`, `body`, `capabilities`, `read-only`, `tmpfs`, `environment`"
        ],
    );
}

#[test]
fn a_wrong_type_says_what_was_expected() {
    check(
        "registry = 5",
        &expect![
            "Cargo.toml:5:12: `workspace.metadata.images.registry`: expected a string, found an integer"
        ],
    );
    check(
        "platforms = 'linux/amd64'",
        &expect![
            "Cargo.toml:5:13: `workspace.metadata.images.platforms`: expected an array of strings, found a string"
        ],
    );
    check(
        "services = 1",
        &expect![
            "Cargo.toml:5:12: `workspace.metadata.images.services`: expected a table, found an integer"
        ],
    );
}

#[test]
fn only_known_signers_are_accepted() {
    let signed = |images: &str| {
        let text = format!("[workspace.metadata.images]\n{images}");
        Config::parse("Cargo.toml", &text).map(|config| config.signed)
    };
    assert_eq!(signed(""), Ok(None));
    assert_eq!(signed("signed = 'cosign'"), Ok(Some(Signed::Cosign)));
    assert_eq!(signed("signed = 'github'"), Ok(Some(Signed::GitHub)));
    let message = |images: &str| signed(images).unwrap_err().message;
    assert_eq!(
        message("signed = 'gpg'"),
        "Cargo.toml:2:10: `workspace.metadata.images.signed`: `gpg`: expected `cosign` or `github`"
    );
    assert_eq!(
        message("signed = true"),
        "Cargo.toml:2:10: `workspace.metadata.images.signed`: expected a string, found a boolean"
    );
}

#[test]
fn an_impossible_value_is_reported() {
    check(
        "minimum-hit-rate = 70",
        &expect![
            "Cargo.toml:5:20: `workspace.metadata.images.minimum-hit-rate`: 70 is not between 0 and 1; did you mean 0.7?"
        ],
    );
    check(
        "platforms = ['linux/amd46']",
        &expect![
            "Cargo.toml:5:14: `workspace.metadata.images.platforms`: `linux/amd46` is not a platform: `amd46` is not a known architecture; did you mean `amd64`?"
        ],
    );
    check(
        "platforms = ['linux/amd64', 'linux/amd64']",
        &expect![
            "Cargo.toml:5:29: `workspace.metadata.images.platforms`: `linux/amd64` is listed twice"
        ],
    );
    let smoke_test = "[workspace.metadata.images.services.a.smoke-test]\ncapabilities";
    check(
        &format!("{smoke_test} = ['CHWON']"),
        &expect![
            "Cargo.toml:6:17: `workspace.metadata.images.services.a.smoke-test.capabilities`: `CHWON`: did you mean `CHOWN`?"
        ],
    );
    check(
        &format!("{smoke_test} = ['CAP_KILL']"),
        &expect![
            "Cargo.toml:6:17: `workspace.metadata.images.services.a.smoke-test.capabilities`: `CAP_KILL`: did you mean `KILL`?"
        ],
    );
    check(
        "registry = 'myregistry'",
        &expect![
            "Cargo.toml:5:12: `workspace.metadata.images.registry`: `myregistry` is not a registry host: a host has a dot or a port, or is `localhost`; write it in full, or `myregistry:443`"
        ],
    );
    check(
        "registry = 'ghcr.io,type=local'",
        &expect![
            "Cargo.toml:5:12: `workspace.metadata.images.registry`: `ghcr.io,type=local` is not a registry host: expected a lower-case host and an optional port, such as `ghcr.io`"
        ],
    );
    check(
        "size-limit = '2 GIB'",
        &expect![
            "Cargo.toml:5:14: `workspace.metadata.images.size-limit`: `2 GIB` is not a size, such as `150 MiB`"
        ],
    );
    check(
        "[workspace.metadata.images.services.Git]",
        &expect![
            "Cargo.toml:5:37: `Git` is not a service name: `G` is upper case; did you mean `git`?"
        ],
    );
}

#[test]
fn a_secret_as_build_argument_is_refused() {
    check(
        "[workspace.metadata.images.services.a.build-args]\nNPM_TOKEN = 'x'",
        &expect![
            "Cargo.toml:6:13: `workspace.metadata.images.services.a.build-args.NPM_TOKEN`: `NPM_TOKEN` looks like a secret, and build arguments are published with the image; mount it with `--secret id=npm_token,env=NPM_TOKEN` instead"
        ],
    );
    for name in ["API_KEY", "DB_PASSWORD", "SSH_PRIVATE_KEY", "token", "GITHUB_PAT"] {
        assert!(build_argument(name, "x").is_err(), "{name}");
    }
    for name in ["GITLAB_VERSION", "KEYBOARD", "PATCH_LEVEL", "KEY_COUNT", "MONKEY"] {
        assert!(build_argument(name, "x").is_ok(), "{name}");
    }
}

#[test]
fn a_smoke_test_may_have_a_password() {
    let text = "[workspace.metadata.images.services.a.smoke-test.environment]\n\
                POSTGRES_PASSWORD = 'only-here'";
    let config = Config::parse("Cargo.toml", &format!("[workspace]\n{text}")).unwrap();
    let service = config.service(&"a".parse().unwrap());
    let environment = service.smoke_test.unwrap().environment;
    assert_eq!(environment.get("POSTGRES_PASSWORD").map(String::as_str), Some("only-here"));
}

#[test]
fn a_syntax_error_has_a_place() {
    let failure = Config::parse("Cargo.toml", "[workspace]\nx = = 1").unwrap_err();
    assert!(failure.message.starts_with("Cargo.toml:2:5: not TOML: "), "{}", failure.message);
}

#[test]
fn every_key_of_a_service_is_read() {
    let text = "
        [workspace.package]
        license = 'MIT'
        [workspace.metadata.images]
        registry = 'registry.example:5000'
        repository = 'o/r'
        platforms = ['linux/amd64', 'linux/arm64']
        size-limit = '2 GiB'
        [workspace.metadata.images.services.web]
        description = 'The web'
        build-args = { VERSION = '1' }
        secrets = { npm = 'env:NPM_TOKEN', pem = 'file:key.pem' }
        target = 'final'
        [workspace.metadata.images.services.web.smoke-test]
        port = 80
        path = '/-/health'
        body = 'ok'
        capabilities = ['CHOWN']
        read-only = true
        tmpfs = ['/tmp']
        timeout-seconds = 30
    ";
    let config = Config::parse("Cargo.toml", text).unwrap();
    assert_eq!(config.licenses.as_deref(), Some("MIT"));
    assert_eq!(config.size_limit, Some(Bytes(2 << 30)));
    let web = config.service(&ServiceName::new("web").unwrap());
    assert_eq!(web.secrets.get("npm"), Some(&SecretSource::Env("NPM_TOKEN".to_owned())));
    let smoke_test = web.smoke_test.unwrap();
    assert_eq!((smoke_test.port, smoke_test.timeout), (Some(80), Duration::from_secs(30)));
    assert!(config.service(&ServiceName::new("other").unwrap()).smoke_test.is_none());
}
