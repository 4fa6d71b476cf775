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
        "# What is kept\n\nGenerated from the configuration; after a change: `UPDATE_EXPECT=1 cargo test \
         --test it policy`.\n\n{table}\n\
         A run refuses a package whose listing is incomplete or any of whose manifests cannot be read, and \
         never deletes more than {:.0} % of a package. An index goes before what it leads to, and an \
         image before what speaks about it, so that whatever ends a run, every image that is left is \
         whole.\n",
        config.retention.max_share * 100.0
    );
    expect_file!["../../../docs/policy.md"].assert_eq(&page);
}
