//! The smallest case that still differs: whatever can be left out, or made plainer, without the difference
//! going away, is.

use super::{
    Route, Speaks,
    script::{Body, Case, Field, Framing, HOST},
};

/// Cases that are one step plainer than this one, the largest steps first.
pub fn plainer(case: &Case, route: Route) -> Vec<Case> {
    let mut all = Vec::new();
    let mut with = |change: &dyn Fn(&mut Case)| {
        let mut other = case.clone();
        change(&mut other);
        if other.response.status != 204 && other.response.status != 304 {
            // What has no framing ends with the connection, and nobody would end that.
            if other.response.body.framing == Framing::None {
                other.response.body.framing = Framing::Length;
            }
        }
        other.request.expects &= other.request.body.length > 0 && route.client == Speaks::H1;
        if other != *case {
            all.push(other);
        }
    };
    let mut plain = Case::plain();
    // Each step has to lead to less, or there is no end.
    plain.response.fields.clear();
    with(&|case| case.request = plain.request.clone());
    with(&|case| case.response = plain.response.clone());
    with(&|case| case.request.fields.clear());
    with(&|case| case.response.fields.truncate(0));
    with(&|case| case.request.method = "GET".into());
    with(&|case| case.request.target = "/".into());
    with(&|case| case.request.old = false);
    with(&|case| case.request.host = Some(HOST.into()));
    with(&|case| case.request.expects = false);
    with(&|case| case.request.body = Body::none());
    with(&|case| (case.response.status, case.response.reason) = (200, "OK".into()));
    with(&|case| case.response.reason = "OK".into());
    with(&|case| case.response.interim.clear());
    with(&|case| case.response.refuses = false);
    with(&|case| case.response.body = Body::of(case.response.body.framing, 0));
    bodies(&mut with, |case| &mut case.request.body);
    bodies(&mut with, |case| &mut case.response.body);
    lines(&mut with, case.request.fields.len(), |case| &mut case.request.fields);
    lines(&mut with, case.response.fields.len(), |case| &mut case.response.fields);
    lines(&mut with, case.request.body.trailers.len(), |case| &mut case.request.body.trailers);
    lines(&mut with, case.response.body.trailers.len(), |case| &mut case.response.body.trailers);
    all
}

type With<'a> = dyn FnMut(&dyn Fn(&mut Case)) + 'a;

fn bodies(with: &mut With<'_>, of: fn(&mut Case) -> &mut Body) {
    with(&move |case| of(case).trailers.clear());
    with(&move |case| of(case).pieces = 1);
    with(&move |case| of(case).pause = 0);
    with(&move |case| of(case).extensions = false);
    with(&move |case| of(case).length = of(case).length.min(1));
    with(&move |case| of(case).length /= 2);
}

fn lines(with: &mut With<'_>, count: usize, of: fn(&mut Case) -> &mut Vec<Field>) {
    for index in 0..count {
        with(&move |case| drop(of(case).remove(index)));
    }
    for index in 0..count {
        with(&move |case| {
            let value = &mut of(case)[index].1;
            // By characters, of which each is a byte.
            *value = value.chars().take(value.chars().count() / 2).collect::<String>().trim().to_owned();
        });
    }
}

/// Makes a case plainer for as long as it `differs` and `may_go_on`.
pub fn shrink(
    case: &Case,
    route: Route,
    may_go_on: impl Fn() -> bool,
    mut differs: impl FnMut(&Case) -> bool,
) -> Case {
    let mut smallest = case.clone();
    loop {
        let before = smallest.clone();
        // What has failed once is not tried again before the end is reached: the list is mostly the same.
        let mut index = 0;
        while let Some(other) = plainer(&smallest, route).into_iter().nth(index) {
            if !may_go_on() {
                return smallest;
            }
            if differs(&other) {
                smallest = other;
            } else {
                index += 1;
            }
        }
        if smallest == before {
            return smallest;
        }
    }
}
