//! Whatever was found once holds now: every recorded run is run again.
use std::path::Path;

use tandem_sim::regression::Regression;
use tandem_sim::run::Verdict;

#[test]
fn what_was_found_once_holds_now() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut broken = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a text");
        let regression = Regression::read(&text).expect("a recorded run");
        let setup = regression.setup().expect("it can be simulated");
        let (run, _) = regression.replay(&setup);
        if run.verdict() != Verdict::Held {
            broken.push(format!("{}: {:?}", path.display(), run.failed_oracle()));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
