//! What the tests stand on: homes, stacks, and processes that are waited for with patience, but not for ever.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// The program.
pub(crate) const TUBECTL: &str = env!("CARGO_BIN_EXE_tubectl");

/// One resource of each kind.
pub(crate) const EACH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/laws/stacks/each");

/// How fast time passes in the tests' worlds: a control plane takes a second.
pub(crate) const FAST: &str = "1000";

/// How long a process may say nothing: many times what any takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A network, a log group and a registry.
const SMALL: &str = "\
stack: small
region: eu-west-1
blocks:
  network: {cidr: 10.0.0.0/16, zones: 2}
  logs: {types: [api]}
  registry: {repositories: [gateway]}
";

/// A home, in a folder with room for other things.
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

/// A process that runs.
pub(crate) struct Running {
    child: Child,
    heard: mpsc::Receiver<Heard>,
    ended: Ended,
}

/// What became of a process.
#[derive(Default)]
pub(crate) struct Ended {
    /// Its exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it wrote to stdout.
    pub(crate) data: String,
    /// What it wrote to stderr.
    pub(crate) told: String,
}

enum Heard {
    Data(String),
    Told(String),
}

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self {
            folder: tempfile::tempdir().expect("what a test stands on works"),
        };
        fs::create_dir(home.path("small")).expect("what a test stands on works");
        fs::write(home.path("small/stack.yaml"), SMALL).expect("what a test stands on works");
        home
    }

    /// A path beside the home; relative ones reach the program, too.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program in this home, with nothing of our own environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.within(Command::new(TUBECTL), arguments)
    }

    /// The program where no file can become longer than so many blocks of half a kibibyte: a disk that is full.
    pub(crate) fn on_a_full_disk(&self, blocks: u32, arguments: &[&str]) -> Command {
        let mut shell = Command::new("sh");
        let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        shell.args(["-c", &limited, TUBECTL]);
        self.within(shell, arguments)
    }

    fn within(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command
            .env("TUBECTL_HOME", self.path("home"))
            .env("HOME", self.folder.path());
        command
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running::of(self.command(arguments))
    }

    /// Runs a command that does what it is asked; gives what it printed.
    pub(crate) fn does(&self, arguments: &[&str]) -> Ended {
        let ended = self.start(arguments).end();
        ended.is(0, &[]);
        ended
    }

    /// Runs a command that ends with this code and says all of this.
    pub(crate) fn fails(&self, code: i32, arguments: &[&str], expected: &[&str]) {
        self.start(arguments).end().is(code, expected);
    }

    /// What exists in the home's world.
    pub(crate) fn inventory(&self) -> Value {
        let listed = self.does(&["world", "inventory", "--json"]);
        serde_json::from_str(&listed.data).expect("what a test stands on works")
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inventory() == Value::Object(serde_json::Map::new())
    }

    /// What the daemon wrote down about itself.
    pub(crate) fn record(&self) -> Value {
        serde_json::from_str(
            &fs::read_to_string(self.path("home/world/daemon.json")).expect("what a test stands on works"),
        )
        .expect("what a test stands on works")
    }

    pub(crate) fn port(&self) -> u16 {
        port(&self.record())
    }

    /// Kills the daemon as nobody should.
    pub(crate) fn kill_daemon(&self) {
        kill(&self.record());
    }
}

fn port(record: &Value) -> u16 {
    record["port"]
        .as_u64()
        .expect("what a test stands on works")
        .try_into()
        .expect("what a test stands on works")
}

/// Kills the daemon of a record, and waits until it is gone.
pub(crate) fn kill(record: &Value) {
    signal(
        "KILL",
        record["pid"]
            .as_u64()
            .expect("what a test stands on works")
            .try_into()
            .expect("what a test stands on works"),
    );
    let gone = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(5));
        TcpStream::connect(("127.0.0.1", port(record))).is_err()
    });
    assert!(gone, "a killed daemon goes on");
}

impl Drop for Home {
    fn drop(&mut self) {
        // A daemon that does not answer is nobody's to end by its number.
        self.command(&["world", "stop"]).output().ok();
    }
}

impl Running {
    pub(crate) fn of(mut command: Command) -> Self {
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("what a test stands on works");
        let (sender, heard) = mpsc::channel();
        listen(
            child.stdout.take().expect("what a test stands on works"),
            sender.clone(),
            Heard::Data,
        );
        listen(
            child.stderr.take().expect("what a test stands on works"),
            sender,
            Heard::Told,
        );
        Self {
            child,
            heard,
            ended: Ended::default(),
        }
    }

    /// Waits until it has written something with this in it.
    pub(crate) fn until(&mut self, part: &str) {
        while !self.ended.data.contains(part) && !self.ended.told.contains(part) {
            assert!(self.hear(), "it ended without `{part}`:\n{}", self.ended.all());
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(name, self.child.id());
    }

    /// Waits until it ends.
    pub(crate) fn end(mut self) -> Ended {
        while self.hear() {}
        self.ended.code = self.child.wait().expect("what a test stands on works").code();
        std::mem::take(&mut self.ended)
    }

    /// Takes one line in; says whether there may be another.
    fn hear(&mut self) -> bool {
        match self.heard.recv_timeout(PATIENCE) {
            Ok(Heard::Data(line)) => self.ended.data.push_str(&line),
            Ok(Heard::Told(line)) => self.ended.told.push_str(&line),
            Err(mpsc::RecvTimeoutError::Disconnected) => return false,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                panic!("nothing was heard for {PATIENCE:?}, after\n{}", self.ended.all())
            }
        }
        true
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Ended {
    /// Holds it to a code and to words on stderr. Whatever happens, nothing panics.
    #[track_caller]
    pub(crate) fn is(&self, code: i32, expected: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.all());
        assert!(!self.told.contains("panicked"), "{}", self.all());
        for part in expected {
            assert!(self.told.contains(part), "`{part}` is not in\n{}", self.all());
        }
        let next = ["  next: ", "= help: ", "try '--help'"];
        let is_said = code == 0 || next.iter().any(|next| self.told.contains(next));
        assert!(is_said, "no next step in\n{}", self.all());
    }

    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.data, self.told)
    }
}

fn listen(stream: impl Read + Send + 'static, sender: mpsc::Sender<Heard>, heard: fn(String) -> Heard) {
    thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            if sender.send(heard(text)).is_err() {
                return;
            }
            line.clear();
        }
    });
}

fn signal(name: &str, process: u32) {
    // The shell has its own `kill`; the program of that name is not on every machine.
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{name} {process}")])
        .status();
    assert!(
        sent.expect("what a test stands on works").success(),
        "no {name} for process {process}"
    );
}
