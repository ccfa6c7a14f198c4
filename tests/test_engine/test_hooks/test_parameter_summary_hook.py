from helpers.toy_runner import ToyModel, toy_runner

from mmrefseg.utils.model_complexity import parameter_table


def test_the_table_is_in_the_log(tmp_path):
    model = ToyModel()
    model.linear.weight.requires_grad_(False)
    custom_hooks = [dict(type='ParameterSummaryHook')]
    toy_runner(tmp_path, model=model, custom_hooks=custom_hooks, log_level='INFO').train()
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert f'Parameters:\n{parameter_table(model)}\n' in log
    assert 'linear            3           1   33.33%\n' in log
