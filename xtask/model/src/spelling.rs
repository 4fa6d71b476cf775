//! Corrects typing errors: finds the name that a wrong one was meant to be.

/// The candidate closest to `name`, if it is close enough to be a typing error.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        // One wrong letter in four.
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().div_ceil(4))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
