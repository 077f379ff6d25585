//! `tubectl world`: the daemon that is the local world, and the way in for other programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use camino::Utf8Path;
use clap::Args;
use clap::Subcommand;
use fs_err as fs;
use serde_json::Value;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::watch;
use tubectl_clock::Clock;
use tubectl_world::connect::World;
use tubectl_world::serve;
use tubectl_world::serve::Options;
use tubectl_world::snapshot::Store;
use tubectl_world::snapshot::StoreError;

use crate::clients::Clients;
use crate::commands::args::SpeedArguments;
use crate::commands::connect;
use crate::commands::connect::Daemon;
use crate::commands::connect::Record;
use crate::commands::connect::unusable;
use crate::commands::rehearse;
use crate::error::Failure;
use crate::error::Kind;
use crate::error::with_causes;
use crate::state::store::write_whole;
use crate::ui::output::Format;
use crate::ui::output::Output;

/// How long nobody may call before a world with an empty account ends.
const IDLE: Duration = Duration::from_secs(60);

/// The account of the local world.
const ACCOUNT: &str = "123456789012";

/// The region of other programs where no cluster says another.
const REGION: &str = "eu-west-1";

/// The arguments of `world`.
#[derive(Clone, Debug, Args)]
pub struct Worlds {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do with the local world.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Start it; every command that needs it does so by itself
    Start(SpeedArguments),
    /// Stop it; what is in it stays for the next start
    Stop,
    /// Say whether it runs, where, and what time it is there
    Status,
    /// Print shell lines that point aws and kubectl at it: eval "$(tubectl world env)"
    Env,
    /// List everything that exists in its account
    Inventory,
    /// Run it in the foreground
    #[command(hide = true)]
    Serve,
}

/// Does it.
pub async fn run(arguments: &Worlds, home: &Utf8Path, format: Format, output: Output) -> Result<(), Failure> {
    match &arguments.verb {
        Verb::Serve => serve(home, output).await,
        Verb::Start(speed) => {
            let daemon = connect::running(home, output).await?;
            if let Some(speed) = speed.speed {
                daemon.set_speed(speed).await?;
            }
            status(&daemon, format, output).await
        }
        Verb::Status => {
            if let Some(daemon) = connect::standing(home).await? {
                return status(&daemon, format, output).await;
            }
            output.data(match format {
                Format::Text => "the local world does not run",
                Format::Json => r#"{"running":false}"#,
            });
            Ok(())
        }
        Verb::Stop => {
            let Some(daemon) = connect::standing(home).await? else {
                output.narrate("the local world does not run");
                return Ok(());
            };
            daemon.stop().await?;
            output.narrate("the local world is stopped; what is in it stays for the next start");
            Ok(())
        }
        Verb::Env => {
            let daemon = connect::running(home, output).await?;
            output.data(&environment(&daemon, home).await?);
            Ok(())
        }
        Verb::Inventory => {
            let daemon = connect::running(home, output).await?;
            let inventory = daemon.ask("GET", "/inventory", &Value::Null).await?;
            output.data(&match format {
                Format::Json => inventory.to_string(),
                Format::Text => listed(&inventory),
            });
            Ok(())
        }
    }
}

async fn status(daemon: &Daemon, format: Format, output: Output) -> Result<(), Failure> {
    let status = daemon.status().await?;
    let record = &daemon.record;
    if format == Format::Json {
        let document = json!({
            "running": true, "process": record.pid, "port": record.port, "version": record.version,
            "clock": status["clock"], "empty": status["empty"], "doors": status["doors"],
        });
        output.data(&document.to_string());
        return Ok(());
    }
    let mut text = format!(
        "the local world runs at http://127.0.0.1:{} (process {}, tubectl {})\nit is {} there, at speed {}\n",
        record.port,
        record.pid,
        record.version,
        status["clock"]["now"].as_str().unwrap_or_default(),
        status["clock"]["speed"],
    );
    if status["empty"] == true {
        text.push_str("its account is empty\n");
    }
    for (host, port) in status["doors"].as_object().into_iter().flatten() {
        writeln!(text, "http://127.0.0.1:{port}  {host}").expect("writing to a string does not fail");
    }
    output.data(&text);
    Ok(())
}

fn listed(inventory: &Value) -> String {
    let kinds = inventory.as_object().into_iter().flatten();
    let mut text = String::new();
    for (kind, names) in kinds {
        for name in names.as_array().into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            writeln!(text, "{kind}  {name}").expect("writing to a string does not fail");
        }
    }
    if text.is_empty() {
        text.push_str("nothing exists in the account\n");
    }
    text
}

/// Runs the world until it is stopped or no longer needed.
async fn serve(home: &Utf8Path, output: Output) -> Result<(), Failure> {
    let folder = connect::folder(home);
    fs::create_dir_all(&folder).map_err(|error| unusable(&error))?;
    let lock = fs::File::create(connect::lock_path(home)).map_err(|error| unusable(&error))?;
    let (lock, _) = lock.into_parts();
    if lock.try_lock().is_err() {
        return Err(held(home));
    }
    let real = Clock::real();
    let settings = tubectl_world::Settings {
        seed: 7,
        account: ACCOUNT.to_owned(),
        begins: real.now(),
    };
    let restored = Store::open(folder.as_std_path(), &settings).map_err(|error| unstored(&error))?;
    if restored.torn {
        output.narrate("the last call before the world was killed is not in it: nobody was told of it");
    }
    // Nothing happened in a world that did not run: its time goes on where it ended.
    let clock = Clock::starting_at(restored.core.now());
    let world = World::stored(restored.core, restored.store, clock, rehearse::programs());
    let listener = listener(home).await.map_err(|error| unusable(&error))?;
    let port = listener.local_addr().map_err(|error| unusable(&error))?.port();
    let ports = watch::Sender::new(known_ports(home));
    let told = ports.subscribe();
    let options = Options {
        ports,
        idle: Some(IDLE),
        real,
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| unusable(&error))?;
    let record = Record {
        pid: std::process::id(),
        port,
        version: connect::VERSION.to_owned(),
        started: real.now(),
    };
    let text = serde_json::to_string(&record).expect("a record is plain data");
    write_whole(&connect::record_path(home), &text).map_err(|error| unusable(&error))?;
    tokio::select! {
        _ = serve::serve(&world, listener, options) => {}
        () = keep_ports(told, home) => {}
        _ = terminate.recv() => {}
    }
    let saved = world.save();
    fs::remove_file(connect::record_path(home)).ok();
    saved.map_err(|error| unstored(&error))
}

/// Another process is the world of this home, and does not answer: otherwise nobody would have begun a second one.
fn held(home: &Utf8Path) -> Failure {
    let record = fs::read_to_string(connect::record_path(home)).unwrap_or_default();
    let process = match serde_json::from_str::<Record>(&record) {
        Ok(record) => format!("process {}", record.pid),
        Err(_) => "the process that has `daemon.lock` open".to_owned(),
    };
    let what = format!("{process} is the local world of {home}, and does not answer");
    Failure::said(
        Kind::Yours,
        what,
        "wait for it or end it, with `kill`; nothing that was answered is lost",
    )
}

/// The port of last time, else the usual one, else any.
async fn listener(home: &Utf8Path) -> std::io::Result<TcpListener> {
    let at = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = match at(connect::port(home)).await {
        Ok(listener) => listener,
        Err(_) => at(0).await?,
    };
    let port = listener.local_addr()?.port();
    write_whole(&connect::port_path(home), &format!("{port}\n"))?;
    Ok(listener)
}

fn known_ports(home: &Utf8Path) -> BTreeMap<String, u16> {
    let text = fs::read_to_string(connect::folder(home).join("doors.json")).unwrap_or_default();
    // Only a convenience: without it hosts get other ports.
    serde_json::from_str(&text).unwrap_or_default()
}

/// Writes down which host has which port, so that a killed daemon's successor gives the same.
async fn keep_ports(mut told: watch::Receiver<BTreeMap<String, u16>>, home: &Utf8Path) {
    let path = connect::folder(home).join("doors.json");
    while told.changed().await.is_ok() {
        let ports = told.borrow_and_update().clone();
        // Until the first door opens, what the last daemon wrote is better.
        if !ports.is_empty()
            && let Err(error) = write_whole(&path, &serde_json::to_string(&ports).expect("ports are plain data"))
        {
            tracing::warn!(%error, "the ports of hosts could not be written down");
        }
    }
    std::future::pending::<()>().await;
}

/// Shell lines that point other programs at the world; the clusters are in a kubeconfig.
async fn environment(daemon: &Daemon, home: &Utf8Path) -> Result<String, Failure> {
    let path = write_kubeconfig(daemon, home).await?;
    let status = daemon.status().await?;
    let region = clusters(&status).first().map(|cluster| cluster.region.clone());
    let region = region.unwrap_or_else(|| REGION.to_owned());
    let variables = [
        ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", daemon.record.port)),
        ("AWS_REGION", region.clone()),
        // The first version of the AWS CLI reads no other.
        ("AWS_DEFAULT_REGION", region),
        ("AWS_ACCESS_KEY_ID", "AKIALOCALWORLD000000".to_owned()),
        (
            "AWS_SECRET_ACCESS_KEY",
            "the-local-world-judges-no-signature".to_owned(),
        ),
        ("KUBECONFIG", path.into_string()),
    ];
    Ok(variables
        .map(|(name, value)| format!("export {name}={}\n", quoted(&value)))
        .concat())
}

/// Writes a kubeconfig with a context for each cluster; gives its path.
pub async fn write_kubeconfig(daemon: &Daemon, home: &Utf8Path) -> Result<camino::Utf8PathBuf, Failure> {
    let path = connect::folder(home).join("kubeconfig");
    let path = camino::absolute_utf8(&path).unwrap_or(path);
    let clock = daemon.connector.clock();
    let clusters = clusters(&daemon.status().await?);
    let mut users = Vec::new();
    for cluster in &clusters {
        let clients = Clients::local(daemon.connector.clone(), &cluster.region, clock);
        let token = clients.token(&cluster.name).await.map_err(Failure::yours)?;
        users.push(json!({"name": cluster.name, "user": {"token": token}}));
    }
    let each = |make: fn(&Cluster) -> Value| clusters.iter().map(make).collect::<Vec<_>>();
    let document = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": clusters.first().map_or("", |cluster| cluster.name.as_str()),
        "clusters": each(|cluster| json!({
            "name": cluster.name,
            "cluster": {"server": format!("http://127.0.0.1:{}", cluster.port)},
        })),
        "contexts": each(|cluster| json!({
            "name": cluster.name,
            "context": {"cluster": cluster.name, "user": cluster.name},
        })),
        "users": users,
    });
    // JSON is YAML, too.
    let text = serde_json::to_string_pretty(&document).expect("a kubeconfig is plain data");
    write_whole(&path, &format!("{text}\n")).map_err(|error| unusable(&error))?;
    Ok(path)
}

/// A cluster behind a door.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cluster {
    name: String,
    region: String,
    port: u16,
}

/// The clusters that have a door.
fn clusters(status: &Value) -> Vec<Cluster> {
    let names = status["clusters"].as_object().into_iter().flatten();
    names
        .filter_map(|(host, name)| {
            // `ID.gr7.REGION.eks.amazonaws.com`
            let region = host.split('.').nth(2).unwrap_or(REGION);
            Some(Cluster {
                name: name.as_str()?.to_owned(),
                region: region.to_owned(),
                port: u16::try_from(status["doors"][host].as_u64()?).ok()?,
            })
        })
        .collect()
}

/// A value as a shell takes it literally.
fn quoted(value: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:@%+=,".contains(letter);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// The world's files cannot be read or written. They are left as they are.
fn unstored(error: &StoreError) -> Failure {
    let next = match error {
        StoreError::Disk(_) => "make the folder writable and see that the disk has room, then start it again",
        StoreError::Newer { .. } => "use the tubectl that wrote it, or a newer one",
        StoreError::Damaged { .. } => "move the file aside: the world then goes on without what it says",
    };
    Failure::said(Kind::Yours, with_causes(error), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_reach_the_shell_as_they_are() {
        let check = |value: &str, expected: &str| assert_eq!(quoted(value), expected);
        check("http://127.0.0.1:4747", "http://127.0.0.1:4747");
        check("/home/a b/kubeconfig", "'/home/a b/kubeconfig'");
        check("it's", r"'it'\''s'");
        check("$(rm)", "'$(rm)'");
        check("", "''");
    }

    #[test]
    fn a_cluster_without_a_door_is_not_offered() {
        let status = json!({
            "clusters": {"a.gr7.us-east-1.eks.amazonaws.com": "tube", "b.gr7.eu-west-1.eks.amazonaws.com": "other"},
            "doors": {"a.gr7.us-east-1.eks.amazonaws.com": 4801, "k8s-tube.us-east-1.elb.amazonaws.com": 4802},
        });
        let expected = Cluster {
            name: "tube".to_owned(),
            region: "us-east-1".to_owned(),
            port: 4801,
        };
        assert_eq!(clusters(&status), [expected]);
    }
}
