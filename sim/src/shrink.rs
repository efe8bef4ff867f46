//! Shrinking: a recorded run that breaks a promise becomes the shortest that still does. It knows choices alone: it
//! cuts the end off, takes pieces out, and puts the first possibility in place of others.

use crate::seed::Choice;

/// What was left, and how it was come by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// The choices that are left.
    pub choices: Vec<Choice>,
    /// How many runs it took.
    pub runs: usize,
}

/// Shrinks choices as long as the run that they make still fails in the same way; in so many runs at most.
pub fn shrink(
    choices: Vec<Choice>,
    runs_max: usize,
    fails: &mut dyn FnMut(&[Choice]) -> bool,
) -> Shrunk {
    let mut best = choices;
    let mut runs = 0;
    let mut still = |candidate: &[Choice], runs: &mut usize| {
        if *runs >= runs_max {
            return false;
        }
        *runs += 1;
        fails(candidate)
    };
    cut_end(&mut best, &mut runs, &mut still);
    let mut size = best.len().div_ceil(2).max(1);
    loop {
        let before = best.len();
        let mut at = 0;
        while at < best.len() && runs < runs_max {
            let end = (at + size).min(best.len());
            let without: Vec<_> =
                best.iter().take(at).chain(best.iter().skip(end)).cloned().collect();
            if still(&without, &mut runs) {
                best = without;
                continue;
            }
            let is_zero = best.iter().take(end).skip(at).all(|choice| choice.chosen == 0);
            if !is_zero {
                let zeroed = zeroed(&best, at, end);
                if still(&zeroed, &mut runs) {
                    best = zeroed;
                }
            }
            at = end;
        }
        if runs >= runs_max || (size == 1 && best.len() == before) {
            break;
        }
        size = (size / 2).max(1);
    }
    while best.last().is_some_and(|choice| choice.chosen == 0) {
        best.pop();
    }
    Shrunk { choices: best, runs }
}

/// The shortest beginning that still fails, by halves.
fn cut_end(
    best: &mut Vec<Choice>,
    runs: &mut usize,
    still: &mut dyn FnMut(&[Choice], &mut usize) -> bool,
) {
    let (mut least, mut most) = (0, best.len());
    while least < most {
        let middle = usize::midpoint(least, most);
        if best.get(..middle).is_some_and(|start| still(start, runs)) {
            most = middle;
        } else {
            least = middle + 1;
        }
    }
    best.truncate(most);
}

fn zeroed(choices: &[Choice], from: usize, to: usize) -> Vec<Choice> {
    let zero = |(at, choice): (usize, &Choice)| Choice {
        chosen: if (from..to).contains(&at) { 0 } else { choice.chosen },
        ..choice.clone()
    };
    choices.iter().enumerate().map(zero).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(numbers: &[u64]) -> Vec<Choice> {
        let choice = |chosen: &u64| Choice { label: "x".into(), of: 100, chosen: *chosen };
        numbers.iter().map(choice).collect()
    }

    #[test]
    fn what_the_failure_needs_is_left_and_nothing_else() {
        let all: Vec<u64> = (1..90).collect();
        let mut fails = |left: &[Choice]| {
            let has = |number| left.iter().any(|choice| choice.chosen == number);
            has(17) && has(60)
        };
        let shrunk = shrink(choices(&all), 2_000, &mut fails);
        assert_eq!(shrunk.choices, choices(&[17, 60]));
    }

    #[test]
    fn a_place_that_counts_is_kept_by_what_is_simplest_before_it() {
        let all = [9, 8, 7, 6, 5, 4];
        let mut fails = |left: &[Choice]| left.get(3).is_some_and(|choice| choice.chosen == 6);
        let shrunk = shrink(choices(&all), 2_000, &mut fails);
        assert_eq!(shrunk.choices, choices(&[0, 0, 0, 6]));
    }

    #[test]
    fn it_ends_where_it_may_try_no_more() {
        let all: Vec<u64> = (1..90).collect();
        let shrunk = shrink(choices(&all), 3, &mut |left| left.len() > 80);
        assert!(shrunk.choices.len() > 80 && shrunk.runs == 3);
    }
}
