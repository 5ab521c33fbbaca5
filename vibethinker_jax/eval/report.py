def table(models, k):
  import json
  return json.dumps({m: {d: (round(s['pass@1'],3), [round(x,3) for x in s['ci95']], round(s['pass@k'][str(k)],3)) for d, s in v.items()} for m, v in models.items()}, indent=1)
def write(workdir, config): pass
