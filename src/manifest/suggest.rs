//! The nearest known name to one that is unknown: what somebody probably meant.

/// Longer words are not compared: nobody mistypes that much.
const LENGTH_MAX: usize = 40;

/// The known name nearest to `given`, if one is near: a third of its letters may differ, and case does not count.
pub(crate) fn nearest<'k>(
    given: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    let given: Vec<char> =
        given.chars().take(LENGTH_MAX + 1).flat_map(char::to_lowercase).collect();
    if given.len() > LENGTH_MAX {
        return None;
    }
    known
        .into_iter()
        .filter_map(|name| {
            let letters: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
            let distance = distance(&given, &letters);
            let near = distance <= given.len().max(letters.len()).div_ceil(3);
            (near && distance < letters.len()).then_some((distance, name))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many letters are inserted, removed, replaced or swapped with their neighbor (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(last.len());
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let get = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
            let replaced = get(&last, j) + usize::from(x != y);
            let mut best = replaced.min(get(&last, j + 1) + 1).min(get(&row, j) + 1);
            let swapped = j > 0 && previous == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(get(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
        previous = Some(x);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] = ["licenses", "failoverAfter", "heartbeat", "max", "maxPerUser"];

    #[test]
    fn a_mistyped_name_finds_the_one_that_was_meant() {
        for (given, meant) in [
            ("licences", "licenses"),
            ("failover_after", "failoverAfter"),
            ("FAILOVERAFTER", "failoverAfter"),
            ("haertbeat", "heartbeat"),
            ("mx", "max"),
            ("maxPerUsers", "maxPerUser"),
        ] {
            assert_eq!(nearest(given, KNOWN), Some(meant), "{given}");
        }
    }

    #[test]
    fn a_word_unlike_all_finds_none() {
        for given in ["", "password", "x", &"l".repeat(1000)] {
            assert_eq!(nearest(given, KNOWN), None, "{given}");
        }
    }
}
