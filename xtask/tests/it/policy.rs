//! docs/policy.md has the retention table of the configuration.

use expect_test::expect_file;
use xtask::model::config::Config;

#[test]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
fn the_policy_page_matches_the_configuration() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let config = Config::parse("Cargo.toml", &std::fs::read_to_string(path).unwrap()).unwrap();
    let table = xtask::report::retention::policy_table(&config.retention.policy());
    let page = format!(
        "# Retention policy\n\nGenerated from the configuration; after a change: `UPDATE_EXPECT=1 cargo test \
         --test it policy`.\n\n{table}\n\
         `prune` refuses a package if its list is incomplete or a manifest cannot be read. It never deletes \
         more than {:.0} % of a package. It deletes an index before the manifests that the index lists, and \
         an image before its signatures and attestations. So every remaining image is complete, even if a \
         run stops early.\n",
        config.retention.max_share * 100.0
    );
    expect_file!["../../../docs/policy.md"].assert_eq(&page);
}
