//! `reveille key`: making keys for the API.

use clap::{Args, Subcommand};
use reveille_controller::keys::{
    Namespaces,
    file::{check_key_name, parse_namespaces},
};

/// `reveille key`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reveille key new ci --namespace team-a,ml
  reveille key new grafana --namespace '*' --read")]
pub struct KeyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// The subcommands of `reveille key`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key: prints it once, and the line to store
    New(NewKeyArgs),
}

/// `reveille key new`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reveille key new ci --namespace team-a,ml
  reveille key new grafana --namespace '*' --read
  reveille key new ci --namespace local --output json | jq -r .line >> /etc/reveille/keys

Nothing is stored, and the key cannot be had again: give it to whoever is to use it, and put
the line into the file of keys (`reveille local --keys FILE`).")]
pub struct NewKeyArgs {
    /// Whose key it is, for the log: a-z, 0-9 and '-'
    #[arg(value_name = "NAME", value_parser = parse_key_name)]
    pub name: String,

    /// Where it is good: namespaces with commas between, or * for all; local mode's is `local`
    #[arg(long, value_name = "NAMES", value_parser = parse_namespaces)]
    pub namespace: Namespaces,

    /// Good for seeing apps, not for waking them and putting them to sleep
    #[arg(long)]
    pub read: bool,
}

fn parse_key_name(text: &str) -> Result<String, String> {
    check_key_name(text).map(|()| text.to_owned())
}
