//! `tandem man`.

use crate::support::Dir;

#[test]
fn the_page_of_the_program_is_printed() {
    let page = Dir::new().tandem("man").done();
    assert!(page.contains(".TH tandem 1"), "{page}");
    assert!(page.contains("tandem\\-license(1)"), "{page}");
}

#[test]
fn every_verb_has_a_page() {
    let dir = Dir::new();
    let ran = dir.tandem("man --out share/man1");
    assert_eq!(ran.stderr, "wrote the pages to `share/man1`\n");
    assert_eq!(ran.done(), "");
    for page in ["tandem.1", "tandem-init.1", "tandem-license-inspect.1"] {
        assert!(dir.read(&format!("share/man1/{page}")).contains(".TH "), "{page}");
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = Dir::new();
    dir.write("share", "");
    let stderr = dir.tandem("man --out share/man1").failed(1);
    assert!(stderr.starts_with("error: `share/man1` could not be written\n"), "{stderr}");
}
