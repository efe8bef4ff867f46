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
    let mut best: Option<(usize, &str)> = None;
    let mut letters = Vec::new();
    for name in known {
        letters.clear();
        letters.extend(name.chars().flat_map(char::to_lowercase));
        let near = given.len().max(letters.len()).div_ceil(3) + 1;
        // Only what is nearer than the nearest so far is of interest.
        let below = best.map_or(near, |(distance, _)| distance.min(near)).min(letters.len());
        if let Some(distance) = distance(&given, &letters, below) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

/// How many letters are inserted, removed, replaced or swapped with their neighbor (optimal string alignment), if that
/// is less than `below`.
fn distance(a: &[char], b: &[char], below: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) >= below {
        return None;
    }
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut least_of_last = 0;
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
        // A later row is at least the least of this one, or one more than the least of the row before (a swap).
        let least = row.iter().copied().min().unwrap_or_default();
        if least >= below && least_of_last + 1 >= below {
            return None;
        }
        least_of_last = least;
        before_last = std::mem::replace(&mut last, row);
        previous = Some(x);
    }
    last.last().copied().filter(|distance| *distance < below)
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
