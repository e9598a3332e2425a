//! Files of keys, right and wrong, and whom a ring knows.

use proptest::prelude::*;

use super::{file::parse, *};

const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

#[test]
fn a_new_key_is_known_by_its_line() {
    let namespaces = Namespaces::These(vec!["a".into(), "b".into()]);
    let made = new("ci", namespaces, Right::Scale).unwrap();
    assert_eq!(made.told.len(), "reveille_".len() + 64);
    let other = new("ci", Namespaces::All, Right::Read).unwrap();
    assert_ne!(made.told, other.told);
    let line = made.kept.to_string();
    assert!(!line.contains(&made.told["reveille_".len()..]), "{line}");
    let ring = KeyRing::new(parse(line.as_bytes()).unwrap());
    assert_eq!(*ring.find(&made.told).unwrap(), made.kept);
    assert!(ring.holds(&made.kept) && !ring.holds(&other.kept));
    for wrong in ["", &other.told, &made.told[1..], &format!("{} ", made.told), &made.kept.hash.to_string()] {
        assert!(ring.find(wrong).is_none(), "{wrong:?}");
    }
    ring.replace(Vec::new());
    assert!(ring.find(&made.told).is_none() && ring.is_empty());
}

#[test]
fn a_hash_is_the_sha_256_of_the_key_as_it_was_told() {
    // As `printf %s test | sha256sum` has it.
    assert_eq!(KeyHash::of("test").to_string(), HASH);
}

#[test]
fn a_file_has_comments_and_empty_lines() {
    let text = format!(
        "# name hash\r\n\r\n  ci {} team-a,ml scale\r\n\t# end\ngrafana {} *  read",
        HASH.to_uppercase(),
        HASH.replace('9', "8")
    );
    let keys = parse(text.as_bytes()).unwrap();
    assert_eq!(keys[0].to_string(), format!("ci {HASH} team-a,ml scale"));
    assert_eq!((&keys[1].namespaces, keys[1].right), (&Namespaces::All, Right::Read));
    assert!(keys[0].namespaces.hold("ml") && !keys[0].namespaces.hold("m") && keys[1].namespaces.hold("any"));
    assert!(Right::Read < Right::Scale);
    assert!(parse(b"").unwrap().is_empty());
}

#[test]
fn each_mistake_is_told_with_its_line() {
    for (line, says) in [
        ("ci", "4 words"),
        ("ci HASH * scale more", "here are 5"),
        ("CI HASH * scale", "the key's name is wrong"),
        ("ci abc * scale", "64 hexadecimal digits, this is something else of 3 characters"),
        ("ci é HASH scale", "64 hexadecimal digits"),
        ("ci HASH a,,b scale", "1 to 63 characters"),
        ("ci HASH a,* scale", "a-z, 0-9"),
        ("ci HASH * write", "neither `read` nor `scale`"),
        ("ci reveille_HASH * read", "a key and not its SHA-256"),
        ("one HASH * read\ntwo HASH * read", "the key of line 2 once more"),
    ] {
        let text = format!("# first\n{}", line.replace("HASH", HASH));
        let problems = parse(text.as_bytes()).unwrap_err();
        let last = problems.last().unwrap().to_string();
        assert!(last.contains(says), "{line}: {last}");
        assert_eq!(last.starts_with("line 3: "), line.contains('\n'), "{last}");
        assert!(!last.contains(HASH), "{last}");
    }
    let twice = format!("ci {HASH} * read\nci {} * read", HASH.replace('9', "8"));
    assert!(parse(twice.as_bytes()).unwrap_err()[0].to_string().starts_with("line 2: the name ci"));
    let many = "x\n".repeat(100);
    assert_eq!(parse(many.as_bytes()).unwrap_err().len(), 20);
    assert!(parse(b"\xff\xfe").unwrap_err()[0].reason.contains("UTF-8"));
}

proptest! {
    #[test]
    fn no_bytes_panic(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&text);
    }

    #[test]
    fn no_text_panics_and_every_problem_says_something(text in "([a-z#,*é0-9A-F]{0,70}[ \t\n]?){0,12}") {
        if let Err(problems) = parse(text.as_bytes()) {
            prop_assert!(!problems.is_empty());
            let lines = text.split('\n').count();
            prop_assert!(problems.iter().all(|problem| problem.reason.len() > 10 && (1..=lines).contains(&problem.line)));
        }
    }

    #[test]
    fn one_wrong_byte_never_gives_a_key_more_than_was_written(at in 0_usize..400, byte: u8) {
        let line = |name: &str, digit: &str, right: &str| format!("{name} {} ml,team-a {right}\n", digit.repeat(64));
        let text = line("ci", "1", "read") + &line("grafana", "2", "read");
        let mut bytes = text.into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(keys) = parse(&bytes) {
            prop_assert!(keys.len() <= 2);
            for key in keys {
                prop_assert_eq!(key.right, Right::Read);
                prop_assert_ne!(key.namespaces, Namespaces::All);
            }
        }
    }

    #[test]
    fn a_problem_never_shows_what_may_be_a_key(secret in "[A-Za-z0-9]{20,80}", at in 0_usize..4, ends in "(\r)?") {
        let mut words = ["ci".to_owned(), HASH.to_owned(), "ml".to_owned(), "read".to_owned()];
        words[at] = format!("{}{secret}", new::PREFIX);
        if let Err(problems) = parse((words.join(" ") + &ends).as_bytes()) {
            prop_assert!(problems.iter().all(|problem| !problem.to_string().contains(&secret)), "{:?}", problems);
        }
    }

    #[test]
    fn what_is_written_is_read(name in "[a-z][a-z0-9]{0,20}", told in ".{0,80}", all: bool, read: bool) {
        let namespaces = if all { Namespaces::All } else { Namespaces::These(vec!["a".into(), "b-c".into()]) };
        let right = if read { Right::Read } else { Right::Scale };
        let key = Key { name, hash: KeyHash::of(&told), namespaces, right };
        prop_assert_eq!(parse(key.to_string().as_bytes()).unwrap(), [key]);
    }
}
