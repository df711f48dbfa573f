"""Give every folder of exercises, and the tests, the one mechanism: run in a checkout; may be rerun."""
import re, pathlib, subprocess
R=pathlib.Path(subprocess.check_output(["git","rev-parse","--show-toplevel"],text=True).strip())
for p in [*sorted(R.glob("exercises/*/__init__.py")), R/"tools/chapters/skeleton/exercises.py"]:
    s=p.read_text()
    found=re.search(r"for module in \((.*?)\)\n?\]",s,re.S)
    if not found: continue
    names=re.findall(r"\w+",found[1])
    s=re.sub(r"from exercises import Master\nfrom exercises\.\w+ import (\(.*?\)|[^(\n]*)\n","from exercises import masters\n",s,flags=re.S)
    inner="".join(f'    "{n}",\n' for n in names)
    s=re.sub(r"MASTERS(: list\[Master\])? = \[.*?\]\n",f"MASTERS = masters(\n    __name__,\n{inner})\n",s,flags=re.S)
    s=s.replace("EXERCISES = [master.page for master in MASTERS]\n","")
    p.write_text(s)
for p in sorted(R.glob("tests/**/*.py")):
    s=t=p.read_text()
    t=re.sub(r"\bfrom exercises\.(\w+) import EXERCISES\n",r"from exercises.\1 import MASTERS\n",t)
    if t!=s:
        at=[m.end() for m in re.finditer(r"^(?:from|import) .*\n",t,re.M)][-1]
        t=t[:at]+"\nEXERCISES = [master.page for master in MASTERS]\n"+t[at:]
    t=re.sub(r"\b(master|module|losses)\.EXERCISES\[0\]",r"\1.MASTERS[0].page",t)
    t=re.sub(r'exercise\.id\.removeprefix\(("[^"]*")\): exercise for exercise in master\.EXERCISES',r"m.page.id.removeprefix(\1): m.page for m in master.MASTERS",t)
    t=t.replace("[e for module in MODULES.values() for e in module.EXERCISES]","[m.page for module in MODULES.values() for m in module.MASTERS]")
    t=t.replace("{e.id: module.SETUP for module in MODULES.values() for e in module.EXERCISES}","{m.page.id: module.SETUP for module in MODULES.values() for m in module.MASTERS}")
    t=t.replace("(exercise.kind for exercise in master.EXERCISES)","(m.page.kind for m in master.MASTERS)")
    t=t.replace('(e.kind for e in MODULES["attention"].EXERCISES)','(m.page.kind for m in MODULES["attention"].MASTERS)')
    t=t.replace("if exercise in module.EXERCISES)","if exercise in [m.page for m in module.MASTERS])")
    t=re.sub(r"for (\w+) in (master|module)\.EXERCISES\b",r"for \1 in (m.page for m in \2.MASTERS)",t)
    t=re.sub(r"in module\.EXERCISES\b",r"in [m.page for m in module.MASTERS]",t)
    t=re.sub(r'MODULES\["attention"\]\.EXERCISES',r'(m.page for m in MODULES["attention"].MASTERS)',t)
    t=t.replace("{exercise.id for exercise in importlib.import_module(module).EXERCISES}","{master.page.id for master in importlib.import_module(module).MASTERS}")
    if t!=s: p.write_text(t)
