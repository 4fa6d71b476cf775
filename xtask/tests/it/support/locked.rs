//! The lab's registry with authentication on.

use base64::Engine as _;
use serde_json::json;

use super::lab::Lab;

/// As long as it lives, the registry requires tokens, as GHCR does.
pub struct Locked<'l>(&'l Lab);

impl<'l> Locked<'l> {
    pub fn new(lab: &'l Lab) -> Self {
        lab.control("PUT", "/settings", Some(&json!({"authentication": true})));
        Self(lab)
    }

    /// A token with this access to packages, and a Docker configuration that logs in with it.
    pub fn login(&self, level: &str) -> (String, tempfile::TempDir) {
        let text = format!("token-{:?}", std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos());
        let token = json!({"token": text, "login": "a-user", "permissions": {"packages": level}});
        self.0.github("POST", "/tokens", Some(&token));
        let folder = tempfile::tempdir().unwrap();
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("a-user:{text}"));
        let config = json!({"auths": {self.0.registry(): {"auth": basic}}});
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        (text, folder)
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.0.control("PUT", "/settings", Some(&json!({"authentication": false})));
    }
}
