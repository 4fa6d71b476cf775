//! How long retention takes for a large package.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use divan::Bencher;
use xtask::model::inventory::{Inventory, PackageVersion, Policy, Readable};
use xtask::model::reference::Digest;

fn main() {
    divan::main();
}

/// 2,000 indexes of two images and two attestations each: 10,000 versions.
fn inventory() -> Inventory {
    let digest = |number: usize| Digest::new(format!("sha256:{number:064x}")).unwrap();
    let version = |number: usize, tags: Vec<String>, manifests: Vec<Digest>| PackageVersion {
        digest: digest(number),
        tags,
        created: Some(1_800_000_000.0 - f64::from(u32::try_from(number).unwrap()) * 3600.0),
        updated: None,
        manifests,
        subject: None,
        manifest: Readable::Ok,
        id: None,
        blobs: Vec::new(),
    };
    let versions = (0..2000).flat_map(|index| {
        let first = index * 5;
        let children: Vec<Digest> = (1..5).map(|child| digest(first + child)).collect();
        let whole = version(first, vec![format!("dev-{index:040x}")], children);
        std::iter::once(whole)
            .chain((1..5).map(move |child| version(first + child, vec![], vec![])))
    });
    Inventory {
        now: 1_800_000_000.0,
        policy: Policy { max_fraction: 1.0, ..Policy::default() },
        versions: versions.collect(),
        complete: true,
    }
}

#[divan::bench]
fn ten_thousand_versions(bencher: Bencher<'_, '_>) {
    let inventory = inventory();
    bencher.bench(|| xtask::plan::retention::plan(&inventory));
}
