"""Real workflows as examples: Azure Logic Apps and Power Automate, n8n, IBM Flow-Bench, and JSON Lines files.

    for record in load_workflows("my-workflows"):
        print(record.id, record.status, record.reason)
"""

from flowstudy.corpus.importers.load import load_workflows
from flowstudy.corpus.importers.records import Imported, Source

__all__ = ["Imported", "Source", "load_workflows"]
