//! The cases of retention: policy, inventory, and the deletions in order, or why there are none.

use std::collections::BTreeSet;

use serde_json::Value;
use xtask::model::inventory::Inventory;
use xtask::plan::retention::plan;

#[test]
fn every_case_is_decided_as_it_should_be() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../cases/prune.json")).unwrap();
    assert_eq!(cases.len(), 34);
    for case in cases {
        let name = format!("{} {}", case["id"], case["title"]);
        let inventory: Inventory = serde_json::from_value(case.clone()).unwrap();
        let decided = plan(&inventory);
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        let expect = &case["expect"];
        let expected: BTreeSet<String> = texts(&expect["delete"]).into_iter().collect();
        let order: Vec<String> = decided.delete.iter().map(ToString::to_string).collect();
        assert_eq!(order.iter().cloned().collect::<BTreeSet<_>>(), expected, "{name}");
        assert_eq!(order.len(), expected.len(), "{name}: nothing goes twice");
        assert_eq!(decided.refuse, expect["refuse"].as_str(), "{name}");
        let unclassified: BTreeSet<String> = decided.unclassified.iter().cloned().collect();
        assert_eq!(unclassified, texts(&expect["unclassified"]).into_iter().collect(), "{name}");
        for pair in expect["before"].as_array().unwrap() {
            let pair = texts(pair);
            let at = |digest: &String| order.iter().position(|other| other == digest).unwrap();
            assert!(at(&pair[0]) < at(&pair[1]), "{name}: {pair:?} in {order:#?}");
        }
        assert_eq!(decided.verdicts.len(), inventory.versions.len(), "{name}");
    }
}
