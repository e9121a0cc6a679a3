"""Real workflows as examples: Azure Logic Apps and Power Automate, n8n, IBM Flow-Bench, and JSON Lines files.

for record in load_workflows("my-workflows"):
    print(record.id, record.status, record.reason)
print(import_corpus("my-workflows", "my-corpus"))
"""

from flowstudy.corpus.importers.load import Format, load_workflows
from flowstudy.corpus.importers.records import MAX_BYTES, Imported, Source
from flowstudy.corpus.importers.writing import ImportReport, import_corpus

__all__ = ["MAX_BYTES", "Format", "ImportReport", "Imported", "Source", "import_corpus", "load_workflows"]
