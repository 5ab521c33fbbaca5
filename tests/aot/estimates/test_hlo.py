"""The walker on a small module in the form that libtpu prints; every number below can be counted by hand."""

import pytest

from vibethinker_jax.aot.estimates import hlo

TEXT = """HloModule jit_step, is_scheduled=true, entry_computation_layout={(f32[8,128]{1,0:T(8,128)})->f32[8,128]{1,0:T(8,128)}}

%add.1 (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}

%product (p0: bf16[64,128], p1: bf16[128,256]) -> bf16[64,256] {
  %p0 = bf16[64,128]{1,0:T(8,128)(2,1)} parameter(0)
  %p1 = bf16[128,256]{1,0:T(8,128)(2,1)} parameter(1)
  ROOT %convolution.1 = bf16[64,256]{1,0:T(8,128)(2,1)} convolution(%p0, %p1), dim_labels=bf_io->bf
}

%gathered (p0: bf16[128,16]) -> bf16[128,256] {
  %p0 = bf16[128,16]{1,0} parameter(0)
  ROOT %all-gather.2 = bf16[128,256]{1,0} all-gather(%p0), channel_id=7, dimensions={1}, backend_config={"async_collective_fusion_config":{"x":1}}
}

%body.1 (state: (s32[], bf16[64,128], f32[28,64,128])) -> (s32[], bf16[64,128], f32[28,64,128]) {
  %state = (s32[]{:T(128)}, bf16[64,128]{1,0:T(8,128)(2,1)}, f32[28,64,128]{2,1,0:T(8,128)}) parameter(0)
  %x = bf16[64,128]{1,0:T(8,128)(2,1)} get-tuple-element(%state), index=1
  %w = bf16[128,256]{1,0:T(8,128)(2,1)S(1)} fusion(%x), kind=kCustom, calls=%gathered, metadata={op_name="jit(step)/gather"}
  %fusion.1 = bf16[64,256]{1,0:T(8,128)(2,1)} fusion(%x, %w), kind=kOutput, calls=%product, metadata={op_name="jit(step)/mlp/dot_general"}, backend_config={"window_config":{"estimated_cycles":"3000"}}
  %kernel.1 = (bf16[2,6,64,128]{3,2,1,0}, /*index=1*/f32[2,6,64]{2,1,0}) custom-call(%fusion.1), custom_call_target="tpu_custom_call", backend_config={"kernel_metadata":"a
b = 3
}"}
  %all-reduce.1 = bf16[64,256]{1,0:T(8,128)(2,1)} all-reduce(%fusion.1), channel_id=3, to_apply=%add.1
  ROOT %tuple.1 = (s32[], bf16[64,128], f32[28,64,128]) tuple(%state)
}

%condition.1 (state: (s32[], bf16[64,128], f32[28,64,128])) -> pred[] {
  %state = (s32[], bf16[64,128], f32[28,64,128]) parameter(0)
  %i = s32[] get-tuple-element(%state), index=0
  %constant.9 = s32[] constant(28)
  ROOT %compare = pred[] compare(%i, %constant.9), direction=LT
}

%condition.2 (state: (s32[], bf16[64,128], f32[28,64,128])) -> pred[] {
  %state = (s32[], bf16[64,128], f32[28,64,128]) parameter(0)
  %i = s32[] get-tuple-element(%state), index=0
  ROOT %go = pred[] compare(%i, %i), direction=LT
}

ENTRY %main.1 (arg: f32[8,128], x: bf16[64,128]) -> f32[8,128] {
  %arg = f32[8,128]{1,0:T(8,128)} parameter(0)
  %x = bf16[64,128]{1,0:T(8,128)(2,1)} parameter(1)
  %copy.1 = f32[8,128]{1,0:T(8,128)S(1)} copy(%arg), backend_config={"estimated_cycles":"50"}
  %init = (s32[], bf16[64,128], f32[28,64,128]) tuple(%x)
  %while.1 = (s32[]{:T(128)}, bf16[64,128]{1,0:T(8,128)(2,1)}, f32[28,64,128]{2,1,0:T(8,128)}) while(%init), condition=%condition.1, body=%body.1
  %while.2 = (s32[]{:T(128)}, bf16[64,128]{1,0:T(8,128)(2,1)}, f32[28,64,128]{2,1,0:T(8,128)}) while(%while.1), condition=%condition.2, body=%body.1
  ROOT %copy.2 = f32[8,128]{1,0:T(8,128)} copy(%copy.1)
}
"""


@pytest.fixture(scope='module')
def module():
  return hlo.parse(TEXT)


def only(ops, name):
  found = [op for op in ops if op.name == name]
  assert len(found) == 2  # both loops share a body
  return found[0]


def test_loops_are_multiplied_out(module):
  ops, unknown = hlo.executed(module, {'while.2': 5})
  assert unknown == ['while.2']
  assert [op.count for op in ops if op.name == 'fusion.1'] == [28, 5]
  assert [op.count for op in hlo.executed(module)[0] if op.name == 'fusion.1'] == [28, 1]


def test_what_an_op_is_and_costs(module):
  ops, _ = hlo.executed(module)
  product = only(ops, 'fusion.1')
  assert (product.place, product.cycles, product.source) == ('mxu', 3000, 'jit(step)/mlp/dot_general')
  assert product.bytes == 2 * (64 * 128 + 64 * 256)  # the weight lies in VMEM: S(1)
  assert only(ops, 'w').place == 'collective'
  copies = {op.name: op.bytes for op in ops if op.name.startswith('copy')}
  assert copies == {'copy.1': 4096, 'copy.2': 4096}  # one end of each is in VMEM
  assert {op.name for op in ops} == {'fusion.1', 'w', 'kernel.1', 'all-reduce.1', 'copy.1', 'copy.2'}


def test_a_kernels_arrays_and_raw_newlines(module):
  kernel = only(hlo.executed(module)[0], 'kernel.1')
  assert kernel.place == 'kernel'
  assert [(a.dtype, a.shape) for a in kernel.arrays] == [
    ('bf16', (64, 256)),
    ('bf16', (2, 6, 64, 128)),
    ('f32', (2, 6, 64)),
  ]


def test_collectives(module):
  found = hlo.by_kind(hlo.collectives(module, {'while.2': 5}))
  gathered = 2 * 128 * 256
  assert found['all-gather'] == {
    'bytes': 33 * gathered,
    'received_bytes': 33 * gathered,
    'count': 33,
    'overlapped_bytes': 33 * gathered,
  }
  assert found['all-reduce']['overlapped_bytes'] == 0 and found['all-reduce']['bytes'] == 33 * 2 * 64 * 256
  assert found['all-reduce']['received_bytes'] == 2 * found['all-reduce']['bytes']


def test_pieces_of_one_collective_count_once():
  """The next fusion carries the gather on, without the attribute that says so."""
  carries = '  %next = bf16[128,256]{1,0:T(8,128)(2,1)S(1)} fusion(%x), kind=kCustom, calls=%carried\n  %kernel.1 ='
  piece = (
    '%carried (p0: bf16[128,16]) -> bf16[128,256] {\n  %p0 = bf16[128,16]{1,0} parameter(0)\n'
    '  ROOT %all-gather.3 = bf16[128,256]{1,0:S(1)} all-gather(%p0), channel_id=7, dimensions={1}\n}\n\n'
  )
  text = TEXT.replace('  %kernel.1 =', carries).replace('%body.1 (state', piece + '%body.1 (state', 1)
  found = hlo.by_kind(hlo.collectives(hlo.parse(text)))
  assert found['all-gather']['bytes'] == found['all-gather']['overlapped_bytes'] == 29 * 2 * 128 * 256


def test_what_loops_carry_besides_the_arguments(module):
  assert hlo.carried(module) == 4 + 4 * 28 * 64 * 128  # the counter and the stack; x is an argument


def test_conditionals_count_all_branches():
  text = TEXT.replace('copy(%copy.1)', 'conditional(%arg, %arg, %arg), branch_computations={%one, %two}')
  branch = '%{0} (p: f32[8,128]) -> f32[8,128] {{\n  %p = f32[8,128] parameter(0)\n  ROOT %{0}.out = f32[8,128] negate(%p)\n}}\n\n'
  ops, _ = hlo.executed(hlo.parse(text.replace('ENTRY', branch.format('one') + branch.format('two') + 'ENTRY')))
  assert {'one.out', 'two.out'} <= {op.name for op in ops}


def test_what_is_not_a_module():
  with pytest.raises(ValueError, match='no entry computation'):
    hlo.parse('error: nothing compiled')
