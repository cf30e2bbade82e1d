"""Writes published.json: the specialized networks that Once-for-All published.

Run beside checkouts of github.com/mit-han-lab/once-for-all, commit
f03b2673db313b9167e2a1c2b7a5cad540cc1313, and of github.com/han-cai/files, commit
a7c9bcd525e17404968bc55aa43772bf7e51909e:

    python3 published.py once-for-all files

Multiply-adds (millions, for one image) and parameters (millions) are those of the
table in the README of once-for-all, as they are printed there; the configuration is
that of the network's net.config and run.config in files. Those in the MobileNetV3
space are taken, all but ofa-note10-08: the README says 79M for it, and the original
modules built from its net.config have 75.8M by the count of golden.py.
"""

import json
import re
import sys

once_for_all, files = sys.argv[1:]
row = r"\| (ofa-\S+?) ?\| (\S+) +\|[^|]*\|[^|]*\| *([\d.]+)M *\| *(\d+)M"
networks = []
for name, folder, params, madds in re.findall(row, open(once_for_all + "/README.md").read()):
    folder = files + "/ofa/ofa_specialized/" + folder.replace("@", "-")
    net = json.load(open(folder + "/net.config"))
    if net["name"] != "MobileNetV3" or name == "ofa-note10-08":
        continue
    # Blocks beyond a unit's depth get the smallest kernel and expansion.
    kernels, expands, depths = [3] * 20, [3] * 20, [0] * 5
    outputs = []
    for block in net["blocks"][1:]:
        conv = block["mobile_inverted_conv"]
        if conv["out_channels"] not in outputs:
            outputs.append(conv["out_channels"])
        unit = len(outputs) - 1
        kernels[4 * unit + depths[unit]] = conv["kernel_size"]
        expands[4 * unit + depths[unit]] = conv["expand_ratio"]
        depths[unit] += 1
    networks.append(
        {
            "name": name,
            "madds_m": int(madds),
            "params_m": float(params),
            "width": {16: 1.0, 24: 1.2}[net["first_conv"]["out_channels"]],
            "resolution": json.load(open(folder + "/run.config"))["image_size"],
            "kernels": kernels,
            "expands": expands,
            "depths": depths,
        }
    )
source = "https://github.com/mit-han-lab/once-for-all#evaluate-1"
with open("published.json", "w") as out:
    rows = ",\n".join(json.dumps(n) for n in networks)
    out.write('{"source": "%s", "networks": [\n%s\n]}\n' % (source, rows))
