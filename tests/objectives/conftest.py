import pytest


@pytest.fixture
def check_objective(check_gradients):
    """Compare the gradients of an objective on a batch with central differences."""

    def check(model, docs):
        def run(backprop=False):
            prediction, back = model.begin_update(docs)
            value, gradient = model.attrs["loss"](model.ops, docs, prediction)
            if backprop:
                back(gradient)
            return value

        check_gradients(model, run, n_values=3, tolerance=1e-6)

    return check
