//! Tests in a real Kubernetes. They share one cluster, with a namespace each.
//!
//! | module | proves |
//! |---|---|
//! | [`traffic`] | Services, endpoints and pods as clients see them |
//! | [`scale`] | the compare-and-set by which an app is woken |
//! | [`nodes`] | nodes from nothing, with their devices, and gone again |
//! | [`pods`] | containers that cannot start, or are killed |
//! | [`rights`] | who may not do what |
//! | [`resource`] | the `ScaledApp` that is taken and refused, and how it reads |
//! | [`chart`] | what the chart makes, what it refuses, and what its planes may do |
//! | [`waking`] | an app at zero is called, by whatever it speaks, however its traffic flows |
//! | [`sleeping`] | it falls asleep, and no request is lost by that |
//! | [`specs`] | what is wrong is said, with the remedy; others who write the count |
//! | [`scale_api`] | Deployments and apps are seen and steered by the API |
//! | [`targets`] | other kinds, rights that are missing, a Service or a count that is in other hands |
//! | [`fleet`] | activators and controllers that end, die, or are not there |
//! | [`giving_back`] | apps that are taken out of Reveille's hands |
//! | [`apps`] | the apps of these |
//! | [`tools`] | kubectl and Helm |
//! | [`outages`] | an API server that is gone, an etcd that hangs or forgets |

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics, in its helpers too")]

mod apps;
mod chart;
mod fleet;
mod giving_back;
mod nodes;
mod outages;
mod pods;
mod resource;
mod rights;
mod scale;
mod scale_api;
mod sleeping;
mod specs;
mod support;
mod targets;
mod tools;
mod traffic;
mod waking;

use std::process::ExitCode;

use reveille_tests_cluster::{Test, runner, secs};

fn main() -> ExitCode {
    runner::main(vec![
        // The longest first.
        Test::new("sleeping::thirty_cycles_in_proxy_mode", sleeping::thirty_cycles_in_proxy_mode)
            .needs_reveille()
            .limit(secs(240)),
        Test::new("sleeping::thirty_cycles_in_bypass", sleeping::thirty_cycles_in_bypass)
            .needs_reveille()
            .limit(secs(400)),
        Test::new("sleeping::the_race", sleeping::the_race).needs_reveille().limit(secs(240)),
        Test::new("waking::gpu_from_zero", waking::gpu_from_zero).needs_reveille(),
        Test::new("waking::overhead", waking::overhead).needs_reveille().limit(secs(180)),
        Test::new("waking::proxy", waking::proxy).needs_reveille(),
        Test::new("waking::bypass", waking::bypass).needs_reveille(),
        Test::new("waking::stateful_set", waking::stateful_set).needs_reveille(),
        Test::new("waking::grpc", waking::grpc).needs_reveille(),
        Test::new("waking::tcp", waking::tcp).needs_reveille(),
        Test::new("sleeping::after_its_idle_time", sleeping::after_its_idle_time).needs_reveille(),
        Test::new("specs::what_is_made_later", specs::what_is_made_later).needs_reveille(),
        Test::new("specs::what_cannot_be", specs::what_cannot_be).needs_reveille(),
        Test::new("specs::a_hopeless_wake", specs::a_hopeless_wake).needs_reveille(),
        Test::new("specs::other_writers", specs::other_writers).needs_reveille().limit(secs(240)),
        Test::new("targets::a_replica_set", targets::a_replica_set).needs_reveille(),
        Test::new("targets::what_is_not_permitted", targets::what_is_not_permitted)
            .needs_reveille()
            .limit(secs(240)),
        Test::new("targets::two_of_one_service", targets::two_of_one_service).needs_reveille(),
        Test::new("targets::one_who_sets_it_back", targets::one_who_sets_it_back)
            .needs_reveille()
            .limit(secs(180)),
        Test::new("sleeping::not_while_a_connection_is_open", sleeping::not_while_a_connection_is_open)
            .needs_reveille(),
        Test::new("targets::a_foreign_pod", targets::a_foreign_pod).needs_reveille().limit(secs(240)),
        Test::new("targets::ports_that_lead_nowhere", targets::ports_that_lead_nowhere).needs_reveille(),
        Test::new("sleeping::not_while_a_stream_is_open", sleeping::not_while_a_stream_is_open)
            .needs_reveille(),
        Test::new("specs::suspended", specs::suspended).needs_reveille(),
        Test::new("scale_api::a_plain_deployment", scale_api::a_plain_deployment).needs_reveille(),
        Test::new("scale_api::keys", scale_api::keys).needs_reveille(),
        Test::new("scale_api::a_writer_that_never_rests", scale_api::a_writer_that_never_rests)
            .needs_reveille(),
        Test::new("scale_api::schedules", scale_api::schedules).needs_reveille(),
        Test::new("scale_api::a_schedule_changes_hands", scale_api::a_schedule_changes_hands)
            .needs_reveille(),
        Test::new("scale_api::an_app", scale_api::an_app).needs_reveille(),
        Test::new("scale_api::command_line", scale_api::command_line).needs_reveille(),
        Test::new("scale_api::one_that_stands_by", scale_api::one_that_stands_by).needs_reveille(),
        Test::new("giving_back::one_that_sleeps", giving_back::one_that_sleeps).needs_reveille(),
        Test::new("giving_back::a_namespace", giving_back::a_namespace).needs_reveille(),
        Test::new("nodes::gpu_from_zero", nodes::gpu_from_zero),
        Test::new("chart::every_object_is_taken", chart::objects::every_one_is_taken),
        Test::new("chart::samples_are_taken", chart::objects::samples_are_taken),
        Test::new("chart::wrong_values_are_refused", chart::objects::wrong_values_are_refused),
        Test::new("chart::pods_start_and_go", chart::pods::start_and_go),
        Test::new("chart::rights_are_those_of_the_page", chart::rights::are_those_of_the_page),
        Test::new("chart::an_activator_may_only_wake", chart::policies::an_activator_may_only_wake),
        Test::new("chart::the_controller_writes_its_own", chart::policies::the_controller_writes_its_own),
        Test::new("nodes::a_pool_that_has_no_machine", nodes::a_pool_that_has_no_machine),
        Test::new("nodes::a_killed_one_is_silent", nodes::a_killed_one_is_silent),
        Test::new("resource::what_is_taken_and_what_is_refused", resource::what_is_taken_and_what_is_refused),
        Test::new("pods::crash_loop", pods::crash_loop),
        Test::new("pods::missing_image", pods::missing_image),
        Test::new("pods::killed_container", pods::killed_container),
        Test::new("traffic::nginx_from_zero", traffic::nginx_from_zero),
        Test::new("traffic::a_slice_beside_the_selectors", traffic::a_slice_beside_the_selectors),
        Test::new("scale::compare_and_set", scale::compare_and_set),
        Test::new("rights::are_real", rights::are_real),
        Test::new("rights::tokens_are_good_in_pods", rights::tokens_are_good_in_pods),
        Test::new("resource::how_it_reads", resource::how_it_reads),
        Test::new("tools::kubectl_reaches_pods", tools::kubectl_reaches_pods),
        Test::new("tools::helm_installs_and_removes", tools::helm_installs_and_removes),
        Test::new("outages::api_server", outages::api_server).alone(),
        Test::new("outages::etcd_hangs", outages::etcd_hangs).alone().limit(secs(60)),
        Test::new("outages::etcd_forgets", outages::etcd_forgets).alone(),
        Test::new("fleet::one_drains", fleet::one_drains).needs_reveille().alone(),
        Test::new("fleet::one_is_killed", fleet::one_is_killed).needs_reveille().alone(),
        Test::new("fleet::all_are_down", fleet::all_are_down).needs_reveille().alone(),
        Test::new("fleet::no_controller", fleet::no_controller).needs_reveille().alone(),
        Test::new("fleet::the_leader_is_killed", fleet::the_leader_is_killed).needs_reveille().alone(),
        Test::new("scale_api::over_leaders", scale_api::over_leaders).needs_reveille().alone(),
        Test::new("fleet::rolling_upgrade", fleet::rolling_upgrade).needs_reveille().alone().limit(secs(240)),
        Test::new("outages::api_server_with_apps", outages::api_server_with_apps)
            .needs_reveille()
            .alone()
            .limit(secs(360)),
        Test::new("outages::etcd_hangs_as_an_app_falls_asleep", outages::etcd_hangs_as_an_app_falls_asleep)
            .needs_reveille()
            .alone()
            .limit(secs(240)),
        Test::new("giving_back::the_release", giving_back::the_release)
            .needs_reveille()
            .alone()
            .limit(secs(240)),
    ])
}
