//! Command lines as people write them, wrong ones among them.

use std::time::Duration;

use clap::CommandFactory;
use reveille_controller::keys::Namespaces;
use reveille_core::app::AppId;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn apps_are_named_short_or_in_full() {
    assert_eq!("web".parse(), Ok(AppArg::Name("web".into())));
    assert_eq!("ml/triton".parse(), Ok(AppArg::Full(AppId::new("ml", "triton"))));
    for (short, app) in [("web", AppId::local("web")), ("ml/triton", AppId::new("ml", "triton"))] {
        assert_eq!(short_name(&app), short);
    }
    for bad in ["", "Web", "a/b/c", "/web", "web/", "a b"] {
        assert!(bad.parse::<AppArg>().is_err(), "{bad}");
    }
}

#[test]
fn local_has_its_defaults_and_options() {
    let Command::Local(args) = parse("reveille local").unwrap().command else { panic!() };
    assert_eq!(args.drain.0, Duration::from_secs(30));
    assert_eq!((args.hold_max_requests, args.hold_max_bytes.0), (50_000, 512 << 20));
    assert_eq!((args.workers, args.access_log, args.log_format), (None, false, LogFormat::Auto));
    let line = "reveille local -c x.yaml --admin 127.0.0.1:1 --drain 1m --hold-max-requests 0 \
                --hold-max-bytes 1Gi --workers 2 --access-log --log-format json --keys keys --allow-anonymous --state state.json";
    let Command::Local(args) = parse(line).unwrap().command else { panic!() };
    assert_eq!(args.config.path_by(None), PathBuf::from("x.yaml"));
    assert_eq!((args.keys, args.state), (Some("keys".into()), Some("state.json".into())));
    assert!(args.allow_anonymous);
    assert_eq!((args.workers, args.access_log, args.log_format), (Some(2), true, LogFormat::Json));
}

#[test]
fn a_key_is_made_for_namespaces() {
    let new = |line: &str| match parse(line).map(|cli| cli.command) {
        Ok(Command::Key(KeyArgs { command: KeyCommand::New(args) })) => Ok(args),
        Ok(_) => panic!("{line}"),
        Err(error) => Err(error.to_string()),
    };
    let args = new("reveille key new ci --namespace a,b --read").unwrap();
    assert_eq!((args.name.as_str(), args.namespace.to_string(), args.read), ("ci", "a,b".into(), true));
    assert_eq!(new("reveille key new ci --namespace *").unwrap().namespace, Namespaces::All);
    assert!(new("reveille key new ci").unwrap_err().contains("--namespace"));
    assert!(new("reveille key new CI --namespace a").unwrap_err().contains("a-z, 0-9"));
    assert!(new("reveille key new ci --namespace a,B").unwrap_err().contains("with commas and no spaces"));
}

#[test]
fn a_configuration_file_is_named_in_any_way() {
    let file = |line: &str, variable: Option<&str>| {
        let config = match parse(line).unwrap().command {
            Command::Check(args) => args.config,
            Command::Local(args) => args.config,
            _ => panic!("{line}"),
        };
        config.path_by(variable.map(Into::into)).to_str().unwrap().to_owned()
    };
    for command in ["reveille check", "reveille local"] {
        assert_eq!(file(command, None), "reveille.yaml");
        assert_eq!(file(command, Some("")), "reveille.yaml");
        assert_eq!(file(command, Some("env.yaml")), "env.yaml");
        for named in ["x.yaml", "-c x.yaml", "--config=x.yaml"] {
            assert_eq!(file(&format!("{command} {named}"), Some("env.yaml")), "x.yaml");
        }
        let both = parse(&format!("{command} x.yaml -c y.yaml")).unwrap_err();
        assert_eq!(both.kind(), clap::error::ErrorKind::ArgumentConflict);
    }
}

#[test]
fn what_is_wrong_with_an_option_is_said() {
    for (option, said) in [
        ("--workers 0", "no thread would forward requests; leave it out for one per core"),
        ("--workers 1025", "write a whole number from 1 to 1024, or leave it out for one per core"),
        ("--workers=-1", "write a whole number from 1 to 1024, or leave it out for one per core"),
        ("--workers many", "write a whole number from 1 to 1024, or leave it out for one per core"),
        ("--admin localhost:9090", "\"localhost:9090\" is no address; write the IP: 127.0.0.1:9090"),
        ("--admin 9090", "\"9090\" is no address; write the IP too: 127.0.0.1:9090"),
        ("--admin 127.0.0.1:0", "\"127.0.0.1:0\" has port 0; choose a port from 1 to 65535"),
    ] {
        let error = parse(&format!("reveille local {option}")).unwrap_err().to_string();
        assert!(error.contains(said), "{option}: {error}");
    }
    let Command::Local(args) = parse("reveille local --admin [::1]:1 --workers 1024").unwrap().command else {
        panic!()
    };
    assert_eq!((args.admin, args.workers), (Some("[::1]:1".parse().unwrap()), Some(1024)));
}

#[test]
fn global_options_stand_anywhere() {
    for line in ["reveille --output json status web", "reveille status web --output json"] {
        assert_eq!(parse(line).unwrap().output, OutputFormat::Json);
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    for line in [
        "reveille",
        "reveille fly",
        "reveille wake",
        "reveille wake Web",
        "reveille wake web --timeout 5s",
        "reveille wake web --wait --timeout 5",
        "reveille wake web --for 5",
        "reveille wake web --for 40d",
        "reveille wake web --for 500ms",
        "reveille key",
        "reveille completions cmd",
        "reveille local --workers 0",
        "reveille local --admin here",
        "reveille status --output yaml",
    ] {
        let error = parse(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}: {error}");
    }
}

#[test]
fn what_the_api_would_refuse_is_wrong_usage() {
    let error = parse("reveille wake web --for 40d").unwrap_err().to_string();
    assert!(error.contains("it is from 1s to 30d, this is 40d"), "{error}");
    for (length, fits) in [(200, true), (201, false)] {
        for command in ["wake", "sleep"] {
            let line = format!("reveille {command} web --reason {}", "é".repeat(length));
            assert_eq!(parse(&line).is_ok(), fits, "{command} {length}");
        }
    }
}

#[test]
fn every_command_and_option_stands_in_the_reference() {
    let page = include_str!("../../../docs/reference/commands.md");
    let sections: Vec<_> = page.split("\n## ").collect();
    let of_all = sections.iter().find(|section| section.starts_with("Options of every command"));
    let of_all = of_all.expect("the page has them in one place");
    let mut command = Cli::command();
    command.build();
    let mut checked = 0;
    let mut left: Vec<_> = vec![(String::from("reveille"), &command)];
    while let Some((name, command)) = left.pop() {
        let own = sections.iter().find(|section| section.starts_with(&format!("`{name}")));
        assert!(own.is_some() || command.has_subcommands(), "{name}");
        for option in command.get_arguments() {
            let Some(long) = option.get_long() else { continue };
            let everywhere = option.is_global_set() || ["help", "version"].contains(&long);
            let section = if everywhere { of_all } else { own.unwrap_or(of_all) };
            let stands = [format!("--{long}`"), format!("--{long} ")];
            assert!(stands.iter().any(|written| section.contains(written)), "{name} --{long}");
            checked += 1;
        }
        let subcommands = command.get_subcommands().filter(|sub| sub.get_name() != "help");
        left.extend(subcommands.map(|sub| (format!("{name} {}", sub.get_name()), sub)));
    }
    assert!(checked > 30, "{checked}");
}

#[test]
fn help_fits_the_terminal_and_shows_examples() {
    let mut command = Cli::command();
    command.build();
    for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
        let help = sub.render_long_help().to_string();
        assert!(help.contains("Examples:"), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
}
