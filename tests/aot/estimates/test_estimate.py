"""Numbers that can be computed by hand."""

import numpy as np
import pytest

from vibethinker_jax.aot.compilers import topology
from vibethinker_jax.aot.estimates import estimate, hlo, rollout

CHIP = topology.Chip(flops=1e12, bandwidth=1e9, clock=1e9, ici=1e8, memory=1e9, dimensions=2)
LOOPS = """HloModule x

%product (p: f32[8,8]) -> f32[8,8] {
  %p = f32[8,8]{1,0} parameter(0)
  ROOT %dot.1 = f32[8,8]{1,0} dot(%p, %p)
}

%go (s: (pred[], f32[8,8])) -> pred[] {
  %s = (pred[], f32[8,8]{1,0}) parameter(0)
  ROOT %flag = pred[] get-tuple-element(%s), index=0
}

%fill (s: (pred[], f32[8,8])) -> (pred[], f32[8,8]) {
  %s = (pred[], f32[8,8]{1,0}) parameter(0)
  %x = f32[8,8]{1,0} get-tuple-element(%s), index=1
  %negate.1 = f32[8,8]{1,0} negate(%x)
  ROOT %t = (pred[], f32[8,8]) tuple(%negate.1)
}

%steps (s: (pred[], f32[8,8])) -> (pred[], f32[8,8]) {
  %s = (pred[], f32[8,8]{1,0}) parameter(0)
  %x = f32[8,8]{1,0} get-tuple-element(%s), index=1
  %fusion.1 = f32[8,8]{1,0} fusion(%x), kind=kOutput, calls=%product, backend_config={"estimated_cycles":"2000"}
  %all-reduce.1 = f32[8,8]{1,0} all-reduce(%fusion.1), channel_id=1, to_apply=%go
  %inner = (pred[], f32[8,8]{1,0}) while(%s), condition=%go, body=%fill
  ROOT %t = (pred[], f32[8,8]) tuple(%all-reduce.1)
}

ENTRY %main (x: f32[8,8]) -> f32[8,8] {
  %x = f32[8,8]{1,0} parameter(0)
  %s = (pred[], f32[8,8]{1,0}) tuple(%x)
  %outer = (pred[], f32[8,8]{1,0}) while(%s), condition=%go, body=%steps
  %call = bf16[3,2,64,128]{3,2,1,0} custom-call(%q), custom_call_target="tpu_custom_call", backend_config={}
  ROOT %copy.1 = f32[8,8]{1,0} copy(%x)
}
"""


def test_a_step_is_the_sum_of_its_parts():
  text = LOOPS.replace('%call = ', '%q = bf16[3,2,64,128]{3,2,1,0} parameter(1)\n  %splash_mqa_fwd.1 = ')
  cost = estimate.cost(hlo.parse(text), CHIP)
  assert cost.mxu == pytest.approx(2000 / 1e9)  # one round of the loop
  assert cost.other == pytest.approx(2 * 256 / 1e9)  # the copy; what fills slots now and then counts as nothing
  assert cost.exposed == pytest.approx(2 * 256 / 1e8)  # an all-reduce receives each byte twice
  assert cost.kernels == pytest.approx(2 * 2 * 3 * 2 * 64 * 64 / 2 * 128 / 1e12)
  assert set(cost.unknown_loops) == {'outer', 'inner'}
  assert cost.seconds(0.5) == pytest.approx(cost.mxu + cost.other + 2 * cost.kernels + cost.exposed)
  assert cost._replace(hidden=1.0).seconds(0.5) == pytest.approx(1.0 + cost.exposed)  # links slower than the core


def test_the_fused_backward_kernel_makes_five_products():
  op = lambda name: hlo.Executed(name, 'kernel', 1, 0, 0, (hlo.Array('bf16', (2, 6, 1024, 128), 0),), '')
  forward, backward = (estimate.kernel_flops(op(f'splash_mqa_{x}_segmented.1')) for x in ('fwd', 'dkv'))
  assert backward == 2.5 * forward and forward == 4 * 12 * 1024 * 512 * 128
  assert estimate.kernel_flops(op('page_attention.3')) == 0


@pytest.mark.parametrize('rows', [(1,), ()])
def test_a_part_of_the_queries_reads_the_keys_of_the_whole_row(rows):
  queries, keys = hlo.Array('bf16', (*rows, 2, 6, 1024, 128), 0), hlo.Array('bf16', (*rows, 2, 4096, 128), 0)
  op = hlo.Executed('splash_mqa_fwd.1', 'kernel', 1, 0, 0, (queries, keys, keys), '')
  assert estimate.kernel_flops(op) == 2 * 2 * 12 * 1024 * 4096 / 2 * 128


def test_an_unknown_kernel_is_an_error():
  with pytest.raises(ValueError, match="'call' has no entry"):
    estimate.cost(hlo.parse(LOOPS), CHIP)


def test_a_decode_step_waits_for_memory_or_the_core():
  step = estimate.DecodeStep(core=1e-3, weights=1e6, token=1e3)
  assert step.seconds(0, CHIP, 0.5) == pytest.approx(2e-3)  # the weights alone take as long as the core
  assert step.seconds(4000, CHIP, 1.0) == pytest.approx(5e-3)


def test_lengths_are_the_lognormal_that_the_note_describes():
  drawn = rollout.Lengths(6000, 10**9).sample(20_001)
  assert np.median(drawn) == pytest.approx(6000, rel=1e-3) and np.quantile(drawn, 0.95) == pytest.approx(
    21_600, rel=1e-2
  )
  assert rollout.Lengths(6000, 8000).sample(1000).max() == 8000


def test_a_rollout_with_room_for_all_takes_as_long_as_its_longest():
  assert rollout.seconds(np.array([300.0, 100.0, 700.0]), 3, 10_000, lambda slots, tokens: 0.1) == pytest.approx(70.0)


def test_slots_are_refilled():
  lengths = np.array([128.0, 64.0, 64.0, 64.0])
  assert rollout.seconds(lengths, 2, 10_000, lambda slots, tokens: 1.0) == pytest.approx(192)
  live = rollout.seconds(lengths, 2, 10_000, lambda slots, tokens: float(slots))
  assert live == pytest.approx(lengths.sum())  # the sum over steps of live slots is what was sampled


def test_a_small_cache_holds_slots_back():
  lengths = np.full(8, 640.0)
  fast = rollout.seconds(lengths, 8, 100_000, lambda slots, tokens: 1.0)
  slow = rollout.seconds(lengths, 8, 2000, lambda slots, tokens: 1.0)
  assert fast == pytest.approx(640) and slow > 2 * fast
  assert np.isfinite(rollout.seconds(lengths, 8, 700, lambda slots, tokens: 1.0))  # one at a time still goes on
