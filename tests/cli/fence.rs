//! `tandem fence`: who is told that a server is dead, and by whom.

use serde_json::json;

use super::release::ordered;
use crate::support::Dir;
use crate::support::answers::{Answers, pair, refuses};

#[test]
fn the_other_server_is_told_that_one_is_dead() {
    let dir = Dir::new();
    dir.tandem("key generate").done();
    let (seen, orders) = std::sync::mpsc::channel();
    let server = Answers::new(pair("lic-b", "active", seen));
    let words = format!("fence lic-a --key keys/operator --server 1@127.0.0.1,{}", server.server());
    let ran = dir.tandem(&words);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), "`lic-b` takes `lic-a` for dead\n"));
    let order = ordered(&orders.recv().expect("an order"));
    assert_eq!((&order["type"], &order["server"]), (&json!("tandem-fence/v1"), &json!("lic-a")));

    let itself = words.replace("fence lic-a", "fence LIC-B");
    insta::assert_snapshot!(dir.tandem(&itself).failed(1), @r"
    error: `LIC-B` was not fenced
      caused by: no server but `LIC-B` itself could be reached: the other one must say that it is dead
    ");
}

#[test]
fn servers_are_found_in_the_manifest_and_a_strangers_key_is_refused() {
    let dir = Dir::new();
    dir.tandem("key generate").done();
    let (seen, _orders) = std::sync::mpsc::channel();
    let serve = pair("lic-b", "active", seen);
    let server = Answers::new(move |asked| match asked.method.as_str() {
        "POST" => {
            refuses(403, "untrusted-operator", "SHA256:x is not an operator's key here")(asked)
        }
        _ => serve(asked),
    });
    let port = server.server().replace("@127.0.0.1", "");
    dir.write(
        "pair.yaml",
        &format!(
            "
apiVersion: tandem/v1
kind: LicensePair
metadata: {{name: studio}}
servers:
  - {{name: lic-a, role: primary, address: 127.0.0.1, port: 1}}
  - {{name: lic-b, role: secondary, address: 127.0.0.1, port: {port}}}
seats: []
"
        ),
    );
    let said = dir.tandem("fence lic-a --manifest pair.yaml --key keys/operator").failed(1);
    insta::assert_snapshot!(said, @r"
    error: `lic-a` was not fenced
      caused by: SHA256:x is not an operator's key here
    help: sign with a key that `trust.operators` of the running manifest lists: `--key FILE`
    ");
}
