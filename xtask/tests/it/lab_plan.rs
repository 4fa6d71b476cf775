//! What the commands of the lab and of the checks take and list, without a lab.

use crate::support::Fixture;

#[test]
fn a_benchmark_dry_run_lists_its_measurements() {
    let fixture = Fixture::new();
    let ran = fixture.xtask(&["lab", "bench", "--dry-run", "--bandwidth=100mbit"]).expect(0);
    let measured = "nothing changed: docker buildx build --push, seed's flags\n";
    assert!(ran.stdout.contains(measured), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("# then write docs/performance-link.md\n"), "{}", ran.stdout);
    let json = fixture.xtask(&["lab", "bench", "--dry-run", "--format=json"]).expect(0).json();
    assert_eq!(json["runs"].as_array().unwrap().len(), ran.stdout.lines().count() - 2);
}

#[test]
fn the_benchmark_takes_no_builder() {
    let ran = Fixture::new().xtask(&["lab", "bench", "--builder=mine"]).expect(2);
    assert!(ran.stderr.contains("takes no `--builder`"), "{}", ran.stderr);
}

#[test]
fn a_command_that_gathers_no_facts_takes_none() {
    let fixture = Fixture::new();
    for command in [&["lab", "status"][..], &["lab", "bench"], &["test"]] {
        for option in ["--facts=f.json", "--record-facts=f.json"] {
            let ran = fixture.xtask(&[command, &[option]].concat()).expect(2);
            assert!(ran.stderr.contains("gathers no facts"), "{}", ran.stderr);
        }
    }
}

#[test]
fn the_checks_are_listed_as_text_and_json() {
    let fixture = Fixture::new();
    let listed = fixture.xtask(&["test", "--dry-run"]).expect(0).stdout;
    let json = fixture.xtask(&["test", "--dry-run", "--format=json"]).expect(0).json();
    let names: Vec<&str> = json.as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    assert_eq!(listed.lines().collect::<Vec<_>>(), names);
    assert!(names.contains(&"images"), "{names:?}");
}
