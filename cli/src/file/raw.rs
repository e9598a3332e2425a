//! The file as it is written: strict types, in which everything may be left out. What must not be left out
//! is checked afterwards, so that one missing field does not hide the rest of its app.

use std::{collections::BTreeMap, fmt};

use reveille_core::{
    cost::CostSpec,
    directory::{Protocol, UpstreamProtocol},
    policy::{HoldSpec, IdleSpec, PolicySpec, Preset, ProbesSpec, TimeoutsSpec, WakeSpec},
    quantity::HumanDuration,
};
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};

use super::address::{Address, Proxy};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawFile {
    pub(super) admin: Option<Address>,
    pub(super) gateway: Option<Address>,
    pub(super) trusted_proxies: Vec<Proxy>,
    pub(super) apps: Vec<RawApp>,
}

/// An app. The fields of [`PolicySpec`] are repeated because serde, where it flattens, does not say which fields there
/// are, and then unknown ones could not be refused.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawApp {
    pub(super) name: Option<String>,
    pub(super) command: Option<Argv>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) working_dir: Option<String>,
    pub(super) stop_grace: Option<HumanDuration>,
    pub(super) ports: Vec<RawPort>,
    pub(super) hosts: Vec<String>,
    pub(super) preset: Preset,
    idle: IdleSpec,
    pub(super) wake: WakeSpec,
    pub(super) hold: HoldSpec,
    pub(super) probes: ProbesSpec,
    pub(super) timeouts: TimeoutsSpec,
    concurrency: Option<u32>,
    pub(super) upgrades: Option<Vec<String>>,
    cost: Option<CostSpec>,
}

impl RawApp {
    /// What is shared with `ScaledApp`.
    pub(super) fn policy(&mut self) -> PolicySpec {
        PolicySpec {
            preset: self.preset,
            idle: std::mem::take(&mut self.idle),
            wake: std::mem::take(&mut self.wake),
            hold: std::mem::take(&mut self.hold),
            probes: std::mem::take(&mut self.probes),
            timeouts: std::mem::take(&mut self.timeouts),
            concurrency: self.concurrency,
            upgrades: self.upgrades.take(),
            cost: self.cost.take(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawPort {
    pub(super) name: Option<String>,
    pub(super) listen: Option<Address>,
    pub(super) upstream: Option<Address>,
    protocol: Option<RawProtocol>,
    upstream_protocol: Option<RawUpstreamProtocol>,
}

impl RawPort {
    /// How clients speak to it, in an app of this preset.
    pub(super) fn protocol(&self, preset: Preset) -> Protocol {
        match self.protocol {
            Some(RawProtocol::Http) => Protocol::Http,
            Some(RawProtocol::Tcp) => Protocol::Tcp,
            None => preset.default_protocol(),
        }
    }

    /// How the app wants to be spoken to, if that is written.
    pub(super) fn upstream_protocol(&self) -> Option<UpstreamProtocol> {
        self.upstream_protocol.map(|written| match written {
            RawUpstreamProtocol::Auto => UpstreamProtocol::Auto,
            RawUpstreamProtocol::H1 => UpstreamProtocol::H1,
            RawUpstreamProtocol::H2c => UpstreamProtocol::H2c,
        })
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawProtocol {
    Http,
    Tcp,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawUpstreamProtocol {
    Auto,
    H1,
    H2c,
}

/// A program and its arguments. One text is refused with a hint, as a shell's habit.
#[derive(Debug)]
pub(super) struct Argv(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Argv {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ArgvVisitor).map(Self)
    }
}

struct ArgvVisitor;

impl<'de> Visitor<'de> for ArgvVisitor {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list: the program and its arguments")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<String>, E> {
        let words: Vec<_> = text.split_whitespace().collect();
        let list = match text.len() <= 60
            && text.chars().all(|c| c.is_ascii_alphanumeric() || " /._-".contains(c))
        {
            true => words.join(", "),
            false => "program, argument, …".to_owned(),
        };
        Err(E::custom(format_args!(
            "found one text, expected a list, as no shell is between: write [{list}], or [sh, -c, \"…\"] to have one"
        )))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
        let mut argv = Vec::new();
        while let Some(argument) = items.next_element()? {
            argv.push(argument);
        }
        Ok(argv)
    }
}
