//! Recorded and constructed runs.

use super::*;
use crate::model::Preset;

fn train() -> TrainConfig {
    TrainConfig::preset(Preset::Pytorch)
}

fn rates() -> LearningRates {
    LearningRates { generator: 2e-4, discriminator: 2e-4 }
}

/// Events of a recorded run: loss D, loss G, D(x), D(G(z)), and both gradient norms, of every `every`-th step.
fn check_recorded(every: u64, recorded: &[[f32; 6]]) -> Vec<HealthEvent> {
    let mut monitor = HealthMonitor::default();
    let steps = recorded.len() as u64 * every;
    (1..=steps)
        .flat_map(|step| {
            let [loss_d, loss_g, d_real, d_fake, norm_d, norm_g] = recorded[((step - 1) / every) as usize];
            let metrics = Metrics { step, loss_d, loss_g, d_real, d_fake, norm_d, norm_g, seconds: 0.0 };
            monitor.check_step(&metrics, &train(), rates())
        })
        .collect()
}

fn summary(events: &[HealthEvent]) -> Vec<(&'static str, u64, u64)> {
    events
        .iter()
        .map(|event| match event {
            HealthEvent::Failing(alarm) => (alarm.failure.name(), alarm.since, alarm.step),
            HealthEvent::Recovered { failure, step } => (failure.name(), 0, *step),
        })
        .collect()
}

/// Sixteen flat drawings at the paper's learning rate: every hundredth step of 2,000, from step 50.
const FLAT: [[f32; 4]; 20] = [
    [0.975, 0.615, 0.84, 0.551],
    [0.866, 0.675, 0.871, 0.516],
    [0.77, 0.793, 0.889, 0.477],
    [0.565, 1.078, 0.888, 0.358],
    [0.46, 1.14, 0.878, 0.279],
    [0.276, 1.725, 0.933, 0.187],
    [0.217, 1.799, 0.976, 0.175],
    [0.129, 2.261, 0.985, 0.107],
    [0.093, 2.558, 0.989, 0.079],
    [0.066, 2.891, 0.992, 0.056],
    [0.046, 3.253, 0.994, 0.039],
    [0.035, 3.525, 0.995, 0.03],
    [0.028, 3.771, 0.996, 0.023],
    [0.023, 3.983, 0.996, 0.019],
    [0.073, 3.291, 0.967, 0.039],
    [0.078, 3.278, 0.97, 0.047],
    [0.062, 3.362, 0.966, 0.027],
    [0.04, 4.068, 0.98, 0.02],
    [0.029, 4.409, 0.986, 0.014],
    [0.017, 4.872, 0.991, 0.008],
];
/// `synth:rooms` at 32x32 with instance noise, likewise.
const ROOMS: [[f32; 4]; 12] = [
    [0.339, 2.031, 0.853, 0.154],
    [0.462, 2.29, 0.744, 0.122],
    [1.017, 2.307, 0.815, 0.501],
    [0.912, 1.482, 0.648, 0.33],
    [0.913, 1.369, 0.698, 0.376],
    [0.652, 1.927, 0.694, 0.214],
    [0.958, 1.425, 0.628, 0.34],
    [0.839, 1.699, 0.675, 0.324],
    [1.142, 1.22, 0.64, 0.454],
    [0.704, 1.684, 0.692, 0.25],
    [0.551, 1.824, 0.75, 0.205],
    [0.542, 1.727, 0.676, 0.113],
];

fn with_small_norms(recorded: &[[f32; 4]]) -> Vec<[f32; 6]> {
    recorded.iter().map(|&[loss_d, loss_g, d_real, d_fake]| [loss_d, loss_g, d_real, d_fake, 15.0, 15.0]).collect()
}

#[test]
fn a_winning_discriminator_is_reported_once_and_healthy_runs_are_not() {
    let events = check_recorded(100, &with_small_norms(&FLAT));
    let [(name, since, step)] = summary(&events)[..] else { panic!("{events:?}") };
    assert_eq!(name, "the discriminator has won");
    assert!((800..1000).contains(&since) && (since + 50..since + 300).contains(&step), "{since} {step}");
    let HealthEvent::Failing(alarm) = &events[0] else { panic!("{events:?}") };
    let flags: Vec<String> = alarm.remedies.iter().map(Remedy::flags).collect();
    assert_eq!(
        flags,
        ["--noise 0.2 --noise-steps 3000", "--generator-lr 0.0002 --discriminator-lr 0.00005", "--mirror"]
    );
    assert_eq!(check_recorded(100, &with_small_norms(&ROOMS)), []);
    // With photographs the discriminator is more confident for a while.
    assert_eq!(check_recorded(100, &with_small_norms(&[[0.17, 3.95, 0.92, 0.07], [0.3, 3.2, 0.9, 0.12]])), []);
}

#[test]
fn a_recovery_is_reported() {
    let events = check_recorded(100, &with_small_norms(&[&FLAT[..], &ROOMS[3..]].concat()));
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(matches!(events[1], HealthEvent::Recovered { step, .. } if (2001..2060).contains(&step)), "{events:?}");
    assert_eq!(HealthEvent::failing(&events).count(), 0);
    assert_eq!(HealthEvent::failing(&events[..1]).count(), 1);
}

#[test]
fn divergence_is_detected_within_its_first_steps() {
    // The same drawings at a learning rate of 0.5.
    let recorded = [
        [1.45, 0.0, 0.485, 0.516, 6.36, 0.0],
        [14.7, 54.4, 1.0, 1.0, 25.3, 3.22],
        [50.4, 7.73, 0.0, 0.761, 18.3, 6.12],
        [0.934, 0.0, 0.732, 0.127, 2.47, 0.0],
        [10.5, 28.1, 1.0, 1.0, 15.7, 0.388],
        [15.3, 14.5, 0.0, 0.0, 11.4, 2.41],
        [0.0389, 0.742, 0.971, 0.0006, 0.309, 1.24],
    ];
    let events = check_recorded(1, &recorded);
    assert_eq!(summary(&events), [("the training diverges", 2, 6)]);
    assert!(events[0].to_string().contains("--lr 0.00005"), "{}", events[0]);
    let [mut huge, single] = [recorded; 2];
    huge[1][1] = 787.0;
    assert_eq!(summary(&check_recorded(1, &huge)), [("the training diverges", 2, 2)]);
    assert_eq!(check_recorded(1, &single[..3]), [], "one large step at the start is no divergence");
}

/// Gray pictures with patterns of contrast `amount`, of which `distinct` differ.
fn pictures(amount: f32, count: u32, distinct: u32) -> Vec<Picture> {
    let pixel = |i: u32, p: u32| {
        let pattern = ((i % distinct).wrapping_mul(7919) ^ p.wrapping_mul(104_729)).wrapping_mul(2_654_435_761) >> 24;
        (128.0 + (pattern as f32 - 128.0) * amount) as u8
    };
    (0..count).map(|i| Picture::new(8, 8, 1, (0..64).map(|p| pixel(i, p)).collect())).collect()
}

fn check_varieties(varieties: &[(u64, f32)]) -> Vec<HealthEvent> {
    let mut monitor = HealthMonitor::default();
    let real: Vec<u8> = pictures(1.0, 64, 64).iter().flat_map(Picture::planes).collect();
    monitor.add_real(&real, 64);
    assert!(!monitor.needs_real());
    let check =
        |&(step, variety): &(u64, f32)| monitor.check_samples(step, &pictures(variety, 64, 64), &train(), rates());
    varieties.iter().filter_map(check).collect()
}

#[test]
fn mode_collapse_is_reported_at_the_start_and_later() {
    let young = |last: f32| (0..=20).map(|i| (i * 25, if i < 10 { 0.1 } else { last })).collect::<Vec<_>>();
    assert_eq!(summary(&check_varieties(&young(0.08))), [("mode collapse", 0, 500)]);
    assert_eq!(check_varieties(&young(0.3)), [], "slow progress is no collapse");
    let collapse = [(0, 0.02), (25, 1.2), (50, 0.6), (75, 0.1), (100, 0.05), (125, 0.05), (150, 0.9)];
    let events = check_varieties(&collapse);
    assert_eq!(summary(&events), [("mode collapse", 75, 100), ("mode collapse", 0, 150)]);
}

#[test]
fn few_distinct_modes_are_a_collapse() {
    let mut monitor = HealthMonitor::default();
    let real: Vec<u8> = pictures(1.0, 64, 64).iter().flat_map(Picture::planes).collect();
    monitor.add_real(&real, 64);
    assert!(monitor.check_samples(100, &pictures(1.0, 64, 64), &train(), rates()).is_none());
    assert!(monitor.check_samples(125, &pictures(1.0, 64, 9), &train(), rates()).is_none());
    assert!(monitor.check_samples(150, &pictures(1.0, 64, 9), &train(), rates()).is_some());
    assert!(monitor.suspected().is_empty() && monitor.collapsed.since == Some(125), "it is certain");
}

#[test]
fn a_small_data_set_is_reported_at_the_start() {
    assert_eq!(HealthMonitor::check_size(None, &train()), None);
    assert_eq!(HealthMonitor::check_size(Some(MIN_PICTURES), &train()), None);
    let alarm = HealthMonitor::check_size(Some(16), &train()).unwrap().to_string();
    assert!(alarm.contains("16 pictures") && alarm.contains("--mirror"), "{alarm}");
    assert_eq!(
        HealthEvent::failing(&[HealthEvent::Failing(HealthMonitor::check_size(Some(16), &train()).unwrap())]).count(),
        0
    );
}
