//! A repository as `init` writes it, with its two servers as processes of their own on free ports.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use super::{Dir, Ran};

/// How long something that must happen may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that is killed when the test ends, and the lines that it prints.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts a command and reads its standard output.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program runs");
        let output = child.stdout.take().expect("a pipe");
        let (told, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if told.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line.
    #[track_caller]
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("another line")
    }

    /// The next line of JSON of this type; those before it are passed over.
    #[track_caller]
    pub(crate) fn event(&self, kind: &str) -> Value {
        let mut before = Vec::new();
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("no `{kind}` after:\n{}", before.join("\n"));
            };
            let event: Value = serde_json::from_str(&line).expect("a line of JSON");
            if event["type"] == kind {
                return event;
            }
            before.push(line);
        }
    }

    /// Sends a signal and waits for the end; the exit code.
    pub(crate) fn end(&mut self, signal: &str) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().expect("kill runs");
        assert!(sent.success());
        self.child.wait().expect("an end").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pair of two processes and the repository that configures it.
pub(crate) struct Duo {
    pub(crate) dir: Dir,
    servers: [Option<Process>; 2],
    names: [&'static str; 2],
    ports: [u16; 2],
}

impl Duo {
    /// Both servers run and are not configured yet.
    pub(crate) fn new() -> Self {
        let dir = Dir::new();
        dir.tandem("init .").done();
        let mut duo = Self { dir, servers: [None, None], names: ["lic-a", "lic-b"], ports: [0, 0] };
        for index in [0, 1] {
            duo.start(index);
        }
        let [a, b] = duo.ports;
        duo.edit("port: 4820", &format!("port: {a}"));
        duo.edit("port: 4821", &format!("port: {b}"));
        duo
    }

    /// The same, and both run the manifest.
    pub(crate) fn applied() -> Self {
        let duo = Self::new();
        duo.tandem("apply tandem.yaml --yes").done();
        duo.in_step();
        duo
    }

    /// Starts a server, where it was before if it ran before.
    pub(crate) fn start(&mut self, index: usize) {
        let (name, port) = (self.names[index], self.ports[index]);
        let words = format!(
            "serve --name {name} --data data/{name} --listen 127.0.0.1:{port} --trust keys/operator.pub"
        );
        let process = Process::start(&mut self.dir.command(&words));
        let line = process.line();
        let port = line.split([':', ' ']).find_map(|word| word.parse().ok());
        self.ports[index] = port.expect("a port");
        self.servers[index] = Some(process);
    }

    /// Kills a server without warning.
    pub(crate) fn kill(&mut self, index: usize) {
        self.servers[index] = None;
    }

    /// Kills a server and puts an empty one of another name in its place.
    pub(crate) fn replace(&mut self, index: usize, name: &'static str) {
        self.kill(index);
        self.names[index] = name;
        self.start(index);
    }

    /// `tandem` with these words and the operator's key.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = self.dir.command(words);
        command.env("TANDEM_OPERATOR_KEY", "keys/operator").env_remove("SSH_AUTH_SOCK");
        command
    }

    /// Runs `tandem` with these words and the operator's key.
    pub(crate) fn tandem(&self, words: &str) -> Ran {
        Ran::of(&mut self.command(words))
    }

    /// Runs on until it is told to stop, telling lines of JSON.
    pub(crate) fn follow(&self, words: &str) -> Process {
        Process::start(&mut self.command(&format!("{words} --format jsonl")))
    }

    /// Replaces a piece of the manifest.
    #[track_caller]
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = self.dir.read("tandem.yaml");
        assert!(text.contains(from), "no `{from}` in:\n{text}");
        self.dir.write("tandem.yaml", &text.replace(from, to));
    }

    /// The pair as `status` says it.
    pub(crate) fn status(&self) -> Value {
        self.tandem("status tandem.yaml --format json").json()
    }

    /// Waits until the pair is as it must become.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        const PAUSE: Duration = Duration::from_millis(50);
        for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
            let status = self.status();
            if is_so(&status) {
                return status;
            }
            std::thread::sleep(PAUSE);
        }
        panic!("never {what}: {:#}", self.status());
    }

    /// Waits until both run what is on disk and are in step.
    #[track_caller]
    pub(crate) fn in_step(&self) -> Value {
        self.until("in sync", |status| status["inSync"] == true)
    }

    /// The generation that each server runs.
    pub(crate) fn generations(&self) -> Vec<u64> {
        let status = self.status();
        let servers = status["servers"].as_array().expect("servers").iter();
        servers.map(|server| server["status"]["generation"].as_u64().unwrap_or(u64::MAX)).collect()
    }

    /// Both servers as `--server` takes them.
    pub(crate) fn servers(&self) -> String {
        let [a, b] = self.ports;
        format!("{a}@127.0.0.1,{b}@127.0.0.1")
    }
}
