//! The name that was meant.

use std::collections::BTreeMap;

use crate::name::LogName;

/// The most names on either side of the one that is sought that are looked at, and the most that are compared with it:
/// a name that does not exist must not cost much.
const LOOKED_AT_MAX: usize = 1000;
const COMPARED_MAX: usize = 200;

/// Returns the name most like `name`: at most one change of a character in three lets it be taken for another.
pub(crate) fn nearest<T>(names: &BTreeMap<LogName, T>, name: &LogName) -> Option<LogName> {
    let distance_max = name.as_str().len().div_ceil(3).min(3);
    let before = names.range(..name.clone()).rev().take(LOOKED_AT_MAX);
    let after = names.range(name.clone()..).take(LOOKED_AT_MAX);
    let has_length = |other: &&LogName| {
        let (len, sought) = (other.as_str().len(), name.as_str().len());
        len.abs_diff(sought) <= distance_max
    };
    let candidates = before
        .chain(after)
        .map(|(other, _)| other)
        .filter(has_length);
    let distances = candidates.take(COMPARED_MAX).map(|other| {
        let distance = strsim::osa_distance(other.as_str(), name.as_str());
        (distance, other)
    });
    let nearest = distances.min()?;
    (nearest.0 <= distance_max).then(|| nearest.1.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_few_changes_is_found() {
        let names = ["default", "invoices", "orders", "orders-eu", "x"];
        let names = names.map(|name| (name.parse::<LogName>().unwrap(), true));
        let names = BTreeMap::from(names);
        let nearest = |name: &str| {
            let found = nearest(&names, &name.parse().unwrap())?;
            Some(found.as_str().to_owned())
        };
        for (name, found) in [
            ("order", Some("orders")),
            ("ordres", Some("orders")),
            ("orders-e", Some("orders-eu")),
            ("rders", Some("orders")),
            ("invoice", Some("invoices")),
            ("y", Some("x")),
            ("payments", None),
            ("something-else-altogether", None),
        ] {
            assert_eq!(nearest(name).as_deref(), found, "{name}");
        }
    }
}
