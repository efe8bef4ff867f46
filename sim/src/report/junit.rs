//! The report as JUnit XML: a suite a scenario, a case a promise.

use std::fmt::Write as _;

use super::Campaign;

/// The whole document.
#[must_use]
pub fn junit(campaigns: &[Campaign]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for campaign in campaigns {
        let failures = campaign.failures();
        let mut cases: Vec<&str> = campaign.promises.iter().map(|one| one.as_str()).collect();
        cases.extend(["expect", "converge", "simulator"]);
        let broken =
            cases.iter().filter(|case| failures.iter().any(|one| one.oracle == **case)).count();
        let name = escaped(&campaign.scenario);
        let _ = writeln!(
            text,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{broken}\">",
            cases.len()
        );
        for case in cases {
            let own: Vec<_> = failures.iter().filter(|one| one.oracle == case).collect();
            let Some(first) = own.first() else {
                let _ = writeln!(text, "    <testcase classname=\"{name}\" name=\"{case}\"/>");
                continue;
            };
            let _ = writeln!(text, "    <testcase classname=\"{name}\" name=\"{case}\">");
            let _ = writeln!(text, "      <failure message=\"{}\">", escaped(first.what));
            for failure in &own {
                let (what, replay) = (escaped(failure.what), escaped(&campaign.replay(failure)));
                let _ = writeln!(
                    text,
                    "seed {} at {}ms: {what}\nreplay: {replay}",
                    failure.seed, failure.at
                );
            }
            text.push_str("      </failure>\n    </testcase>\n");
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 has no form for other control characters.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_promise_is_a_case_and_text_is_escaped() {
        let mut campaign = sample::broken();
        campaign.runs[1].violations[0].what = "a < b & \"c\"".into();
        campaign.runs.truncate(2);
        insta::assert_snapshot!(junit(&[campaign]), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites>
          <testsuite name="failover" tests="5" failures="1">
            <testcase classname="failover" name="capacity">
              <failure message="a &lt; b &amp; &quot;c&quot;">
        seed 1 at 41200ms: a &lt; b &amp; &quot;c&quot;
        replay: tandem-sim run failover --seed 1 --world core
              </failure>
            </testcase>
            <testcase classname="failover" name="failover"/>
            <testcase classname="failover" name="expect"/>
            <testcase classname="failover" name="converge"/>
            <testcase classname="failover" name="simulator"/>
          </testsuite>
        </testsuites>
        "#);
    }
}
