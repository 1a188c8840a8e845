//! Backward passes of the kernels.
//!
//! `up` and `down` are each other's transposes, so the input gradient of one is the other. Gradients are only taken
//! while training on whole batches, so these passes may choose their algorithm by the batch (`whole_batch`).

use burn::backend::Autodiff;
use burn::backend::Backend;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::{AdamStep, ConvSpec, Kernels};
use crate::device::Operands;

#[derive(Debug)]
struct PackBackward;
#[derive(Debug)]
struct DownBackward;
#[derive(Debug)]
struct UpBackward;
#[derive(Debug)]
struct RectifyBackward;
#[derive(Debug)]
struct NormBackward;
#[derive(Debug)]
struct TanhBackward;
#[derive(Debug)]
struct LeakyBackward;
#[derive(Debug)]
struct LogisticBackward;

impl<B: Backend + Kernels> Backward<B, 1> for PackBackward {
    type State = ();

    /// The gradient with respect to packed weights already has the layout of plain weights.
    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, grad);
        }
    }
}

impl<B: Backend + Kernels> Backward<B, 2> for DownBackward {
    type State = (FloatTensor<B>, FloatTensor<B>, ConvSpec);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [input, weight] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (large, packed, spec) = ops.state;
        if let Some(node) = weight {
            grads.register::<B>(node.id, B::weight_gradient(grad.clone(), large, spec));
        }
        if let Some(node) = input {
            grads.register::<B>(node.id, B::up(grad, packed, spec));
        }
    }
}

impl<B: Backend + Kernels> Backward<B, 2> for UpBackward {
    type State = (FloatTensor<B>, FloatTensor<B>, ConvSpec);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [input, weight] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (small, packed, spec) = ops.state;
        if let Some(node) = weight {
            grads.register::<B>(node.id, B::weight_gradient(small, grad.clone(), spec));
        }
        if let Some(node) = input {
            grads.register::<B>(node.id, B::down(grad, packed, spec));
        }
    }
}

impl<B: Backend + Kernels> Backward<B, 3> for RectifyBackward {
    /// x, y, scale, slope.
    type State = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, f64);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (x, y, scale, slope) = ops.state;
        let (back, scale, shift) = B::rectify_backward(x, y, grad, scale, slope);
        for (node, grad) in ops.parents.into_iter().zip([back, scale, shift]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

impl<B: Backend + Kernels> Backward<B, 3> for NormBackward {
    /// x, y, gain, mean, variance, epsilon, slope.
    type State = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, f64, f64);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (x, y, gain, mean, variance, epsilon, slope) = ops.state;
        let (back, gain, shift) = B::norm_backward(x, y, grad, gain, mean, variance, epsilon, slope);
        for (node, grad) in ops.parents.into_iter().zip([back, gain, shift]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

impl<B: Backend + Kernels> Backward<B, 1> for TanhBackward {
    /// y.
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        if let Some(node) = x {
            grads.register::<B>(node.id, B::tanh_backward(ops.state, grad));
        }
    }
}

impl<B: Backend + Kernels> Backward<B, 1> for LeakyBackward {
    /// y, slope.
    type State = (FloatTensor<B>, f64);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::leaky_backward(ops.state.0, grad, ops.state.1));
        }
    }
}

impl<B: Backend + Kernels> Backward<B, 1> for LogisticBackward {
    /// The logits, and whether their target is "real".
    type State = (FloatTensor<B>, bool);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::logistic_backward(ops.state.0, grad, ops.state.1));
        }
    }
}

impl<B: Backend + Kernels, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn leaky(x: FloatTensor<Self>, slope: f64) -> FloatTensor<Self> {
        let prepared = LeakyBackward.prepare::<C>([x.node()]).compute_bound().stateful();
        let y = B::leaky(x.into_primitive(), slope);
        match prepared {
            OpsKind::Tracked(prep) => prep.finish((y.clone(), slope), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn logistic(logits: FloatTensor<Self>, real: bool) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let prepared = LogisticBackward.prepare::<C>([logits.node()]).compute_bound().stateful();
        let logits = logits.into_primitive();
        let (loss, probability) = B::logistic(logits.clone(), real);
        let loss = match prepared {
            OpsKind::Tracked(prep) => prep.finish((logits, real), loss),
            OpsKind::UnTracked(prep) => prep.finish(loss),
        };
        (loss, Self::FloatTensorPrimitive::new(probability))
    }

    /// Parameter updates are not differentiated.
    fn adam(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        squares: FloatTensor<Self>,
        step: AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [value, gradient, first, second, squares] =
            [value, gradient, first, second, squares].map(|x| x.into_primitive());
        let (value, first, second, squares) = B::adam(value, gradient, first, second, squares, step);
        let [value, first, second, squares] = [value, first, second, squares].map(Self::FloatTensorPrimitive::new);
        (value, first, second, squares)
    }

    fn tanh(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = TanhBackward.prepare::<C>([x.node()]).compute_bound().stateful();
        let y = B::tanh(x.into_primitive());
        match prepared {
            OpsKind::Tracked(prep) => prep.finish(y.clone(), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn pack(weights: FloatTensor<Self>, operands: Operands) -> FloatTensor<Self> {
        match PackBackward.prepare::<C>([weights.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((), B::pack(weights.into_primitive(), operands)),
            OpsKind::UnTracked(prep) => prep.finish(B::pack(weights.into_primitive(), operands)),
        }
    }

    fn down(large: FloatTensor<Self>, packed: FloatTensor<Self>, spec: ConvSpec) -> FloatTensor<Self> {
        match DownBackward.prepare::<C>([large.node(), packed.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (large, packed) = (large.into_primitive(), packed.into_primitive());
                let spec = ConvSpec { whole_batch: true, ..spec };
                prep.finish((large.clone(), packed.clone(), spec), B::down(large, packed, spec))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::down(large.into_primitive(), packed.into_primitive(), spec)),
        }
    }

    fn up(small: FloatTensor<Self>, packed: FloatTensor<Self>, spec: ConvSpec) -> FloatTensor<Self> {
        match UpBackward.prepare::<C>([small.node(), packed.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (small, packed) = (small.into_primitive(), packed.into_primitive());
                let spec = ConvSpec { whole_batch: true, ..spec };
                prep.finish((small.clone(), packed.clone(), spec), B::up(small, packed, spec))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::up(small.into_primitive(), packed.into_primitive(), spec)),
        }
    }

    fn rectify(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        slope: f64,
    ) -> FloatTensor<Self> {
        let prepared = RectifyBackward.prepare::<C>([x.node(), scale.node(), shift.node()]).compute_bound().stateful();
        let (x, scale) = (x.into_primitive(), scale.into_primitive());
        let y = B::rectify(x.clone(), scale.clone(), shift.into_primitive(), slope);
        match prepared {
            OpsKind::Tracked(prep) => prep.finish((x, y.clone(), scale, slope), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn norm(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f64,
        slope: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let prepared = NormBackward.prepare::<C>([x.node(), gain.node(), shift.node()]).compute_bound().stateful();
        let (x, gain) = (x.into_primitive(), gain.into_primitive());
        let (y, mean, variance) = B::norm(x.clone(), gain.clone(), shift.into_primitive(), epsilon, slope);
        let statistics = [mean.clone(), variance.clone()].map(Self::FloatTensorPrimitive::new);
        let y = match prepared {
            OpsKind::Tracked(prep) => prep.finish((x, y.clone(), gain, mean, variance, epsilon, slope), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        };
        let [mean, variance] = statistics;
        (y, mean, variance)
    }
}
