//! `tandem completions`.

use crate::support::Dir;

#[test]
fn every_shell_is_told_the_verbs() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = Dir::new().tandem(&format!("completions {shell}")).done();
        for verb in ["init", "license", "completions"] {
            assert!(script.contains(verb), "{shell} is not told of {verb}");
        }
    }
}

#[test]
fn a_shell_that_is_none_is_usage() {
    Dir::new().tandem("completions cmd").failed(64);
    Dir::new().tandem("completions").failed(64);
}
