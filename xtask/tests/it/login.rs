//! Logging in as a job does, with a stand-in for docker.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use xtask::model::failure::Failure;
use xtask::model::reference::Registry;
use xtask::model::token::Secret;
use xtask::outside::login::Login;
use xtask::outside::process::Runner;

/// A runner with a `docker` that prints its input and ends with `code`.
fn runner(folder: &Path, code: u8) -> Runner {
    let program = folder.join("docker");
    let script = format!(
        "#!/bin/sh\ncd {}\necho \"$@\" > arguments\ncat > input\n\
         echo \"$DOCKER_CONFIG\" > folder\ncat \"$DOCKER_CONFIG/config.json\" > configuration\n\
         echo 'denied: no such token' >&2\nexit {code}\n",
        folder.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    Runner::new(folder, false).with_variable("PATH", path)
}

#[test]
fn login_passes_the_token_through_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let runner = runner(folder.path(), 0);
    let registry = Registry::new("ghcr.io").unwrap();
    let login = Login::new(&runner, &registry, "octocat", &Secret::new("ghs_secret")).unwrap();
    let got = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(got("arguments"), "login --username=octocat --password-stdin ghcr.io\n");
    assert_eq!(got("input"), "ghs_secret");
    assert!(!got("configuration").contains("credsStore"));
    let private = got("folder").trim().to_owned();
    assert_eq!(login.enter(&runner).variable("DOCKER_CONFIG").as_deref(), Some(private.as_str()));
    assert!(Path::new(&private).is_dir());
    drop(login);
    assert!(!Path::new(&private).exists());
}

#[test]
fn a_refused_login_names_the_missing_permission() {
    let folder = tempfile::tempdir().unwrap();
    let runner = runner(folder.path(), 1);
    let registry = Registry::new("ghcr.io").unwrap();
    let refused = Login::new(&runner, &registry, "octocat", &Secret::new("ghs_secret"));
    let failure = refused.err().unwrap().downcast::<Failure>().unwrap();
    assert!(failure.message.contains("denied: no such token"), "{failure}");
    assert!(failure.hint.clone().unwrap().contains("packages: write"), "{failure:?}");
    assert!(!format!("{failure:?}").contains("ghs_secret"), "{failure:?}");
    let private = std::fs::read_to_string(folder.path().join("folder")).unwrap();
    assert!(!Path::new(private.trim()).exists());
}
