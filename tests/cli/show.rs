//! `tandem show`: a saved plan again.

use crate::support::Dir;
use crate::support::duo::Duo;

#[test]
fn a_saved_plan_is_shown_and_warned_of_when_stale() {
    let duo = Duo::applied();
    duo.edit("  - name: bo\n", "  - name: bo\n  - name: cy\n");
    let planned = duo.tandem("plan tandem.yaml --out saved.json").done();
    #[cfg(unix)]
    assert_eq!(duo.dir.mode("saved.json"), 0o600);
    let shown = duo.tandem("show saved.json --detailed-exitcode");
    assert_eq!(shown.code, Some(2));
    assert_eq!(shown.stdout, planned);
    assert_eq!(shown.stderr, "");
    duo.tandem("apply tandem.yaml --yes").done();
    let shown = duo.tandem("show saved.json");
    assert!(
        shown.stderr.contains("plan is stale: it stands on generation 1 of `lic-a`"),
        "{shown:?}"
    );
}

#[test]
fn what_is_no_plan_is_not_shown() {
    let dir = Dir::new();
    dir.write("plan.json", "{}");
    let said = dir.tandem("show plan.json").failed(1);
    assert!(said.contains("`plan.json` cannot be shown"), "{said}");
}
