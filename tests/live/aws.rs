//! `--on aws`, without an account: what is missing is said, and a world that runs stands for one.

use std::net::TcpListener;
use std::process::Command;

use crate::stage::EACH;
use crate::stage::FAST;
use crate::stage::Home;
use crate::stage::Running;

#[test]
fn missing_credentials_say_which_sources_were_tried() {
    let home = Home::new();
    // A metadata service that takes every call and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    for arguments in [
        &["plan", "./small", "--on", "aws"][..],
        &["status", "./small", "--on", "aws"],
        &["up", "./small", "--on", "aws", "--yes"],
        &["down", "./small", "--on", "aws", "--yes"],
    ] {
        let mut command = home.command(arguments);
        command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &address);
        let ended = Running::of(command).end();
        ended.is(
            2,
            &["no AWS credentials", "environment", "SSO", "metadata", "--profile"],
        );
    }
}

#[test]
fn a_profile_that_there_is_not_is_named() {
    let home = Home::new();
    let arguments = ["plan", "./small", "--on", "aws", "--profile", "stage"];
    let mut command = home.command(&arguments);
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    Running::of(command).end().is(2, &["no AWS credentials", "`stage`"]);
}

#[test]
fn an_account_that_does_not_answer_is_said() {
    let home = Home::new();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = home.command(&["plan", "./small", "--on", "aws"]);
    command.env("AWS_ENDPOINT_URL", format!("http://{nobody}"));
    Running::of(keyed(command)).end().is(2, &["sts GetCallerIdentity"]);
}

#[test]
fn plan_and_status_work_by_the_sdks_own_means_and_up_ends_after_the_plan() {
    let (account, home) = (Home::new(), Home::new());
    account.does(&["world", "start"]);
    let run = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command.args(["--on", "aws"]);
        command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", account.port()));
        Running::of(keyed(command)).end()
    };
    let plan = run(&["plan", "tube"]);
    plan.is(
        0,
        &[
            "world aws",
            "stand-ins: ",
            "metrics-server",
            "the real ones may hold other objects",
        ],
    );
    assert!(plan.data.contains("+ cluster/main"), "{}", plan.all());
    let status = run(&["status", EACH]);
    status.is(0, &["world aws"]);
    assert!(status.data.contains("nothing of it exists"), "{}", status.all());
    let up = run(&["up", EACH, "--yes"]);
    up.is(
        2,
        &[
            "+ cluster/main",
            "nothing was created",
            "images",
            "charts",
            "quotas",
            "--on local",
        ],
    );
    assert!(account.is_empty(), "{}", account.inventory());

    account.does(&["up", "./small", "--yes", "--speed", FAST]);
    let status = run(&["status", "./small"]);
    status.is(0, &["by its tags"]);
    assert!(
        status.data.contains("everything is as the stack says"),
        "{}",
        status.all()
    );
    let plan = run(&["plan", "./small", "--exit-code", "--region", "eu-west-1"]);
    plan.is(0, &[]);
    let elsewhere = run(&["plan", "./small", "--exit-code", "--region", "us-east-1"]);
    elsewhere.is(2, &["us-east-1", "--var region=us-east-1"]);
}

/// With the keys that `tubectl world env` prints.
fn keyed(mut command: Command) -> Command {
    command.env("AWS_ACCESS_KEY_ID", "AKIALOCALWORLD000000");
    command.env("AWS_SECRET_ACCESS_KEY", "the-local-world-judges-no-signature");
    command
}
