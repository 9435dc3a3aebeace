"""Command lines that succeed, to be disturbed from outside. Outputs are in the folder ``out``."""

SAMPLE = "sample --shape 4x4 --eta 4.01 --lam 1 --mu 1.5 --configurations 40 --seed 1 --output out/e.h5"
SWEEP = "sample --shape 4x4 --eta 4.01 --lam 1 --mu 1.4:1.5:0.1 --configurations 40 --seed 1 --output out"
MEASURE = "measure one.h5 --json"
TABLE = "measure one.h5 two.h5 wide.h5 --csv"
EXPORT = "export one.h5 --output out/x.npz"
IMPORT = "import arrays.npz --eta 4.01 --lam 1 --mu 1.5 --output out/i.h5"
PLOT = "measure wide.h5 --plot out/p.png"
WORMS = "worms wide.h5 --number 0,1 --output out/w.h5"
DATA = "--data one.h5 --validation two.h5 --recipe recipe.json"
TRAIN = f"train --task regression --architecture EQ {DATA} --config small.json --output out"
TWO = f"{TRAIN} --instances 2"
EVALUATE = "evaluate models/EQ-000.safetensors flat/FL-000.safetensors --data one.h5 --json"
PREDICT = "predict models/EQ-000.safetensors --data one.h5 --output out/p.csv"
SEARCH = f"search --task regression --architecture EQ {DATA} --space space.json --trials 2 --repeats 1 --seed 1"
SEARCH += " --storage out/j.log --output out/found"
REPRODUCE = "reproduce tiny.toml --output whole"
CURVES = "curves models/EQ-000.safetensors --output out/c.png"
SETS = "data tiny.toml --output out"
NOTHING = ("--help", "--version", "sample --help", "train --help")
READING = ("status whole", "status whole --json", "figure whole fig3", "figure whole search", "report whole")
LOOKING = ("doctor", "doctor --json")
EVERY = (
    SAMPLE,
    SWEEP,
    MEASURE,
    TABLE,
    EXPORT,
    IMPORT,
    PLOT,
    WORMS,
    TRAIN,
    TWO,
    EVALUATE,
    PREDICT,
    SEARCH,
    REPRODUCE,
    CURVES,
    SETS,
    *NOTHING,
    *READING,
    *LOOKING,
)
"""Those with which all environments and streams are tried."""
ONCE = ("worms", "import")
"""Commands that do not overwrite their outputs."""
